// The server as a whole: takes sockets, sends each stanza to its part, and offers the network to phones and control API.
import type { Socket } from 'node:net'
import { proto } from '@whiskeysockets/baileys/WAProto/index.js'
import type { BinaryNode } from '@whiskeysockets/baileys'
import type { WebSocket } from 'ws'
import type { Log } from '../../platform/log.ts'
import type { FinishedHandshake } from '../wire/handshake.ts'
import type { ServerIdentity } from '../wire/server-identity.ts'
import { childOf, nowSeconds, stanza } from '../wire/stanza.ts'
import { serverJid } from '../wire/address.ts'
import { Accounts } from './accounts.ts'
import { Connection, streamEnd, type ConnectionEvents } from './connection.ts'
import type { ServerContext, Session } from './context.ts'
import { Faults } from './faults.ts'
import { FrameLog } from './frame-log.ts'
import { Groups } from './groups.ts'
import { answerIq, iqResult } from './iq/iq.ts'
import { linkDevice } from './link.ts'
import { logIn, readRegistration } from './log-in.ts'
import { answerLinkCode } from './pairing-code.ts'
import { Pairing, Pairings } from './pairings.ts'
import { takeMessage } from './take-message.ts'
import { routeChatState } from './route-chat-state.ts'
import { routeReceipt } from './route-receipt.ts'
import { createStats } from './stats.ts'
import { faultTarget } from './strike.ts'

const sweepMs = 5_000
const handshakeTimeoutMs = 30_000
/** Longer than any QR code lives: clients end a pairing themselves when their refs are used up. */
const pairingTimeoutMs = 600_000

interface SandboxServerOptions {
  identity: ServerIdentity
  mediaHost: string
  log: Log
  changed: () => void
}

export class SandboxServer implements ConnectionEvents {
  readonly ctx: ServerContext
  readonly #identity: ServerIdentity
  readonly #connections = new Set<Connection>()
  readonly #sessions = new Map<Connection, Session>()
  readonly #sweep: NodeJS.Timeout

  constructor({ identity, mediaHost, log, changed }: SandboxServerOptions) {
    this.#identity = identity
    const faults = new Faults()
    this.ctx = {
      accounts: new Accounts(),
      groups: new Groups(),
      pairings: new Pairings(),
      faults,
      stats: createStats(),
      frames: new FrameLog(),
      log,
      mediaHost,
      changed,
    }
    faults.attach(faultTarget(faults, this.#connections))
    this.#sweep = setInterval(() => this.#closeIdle(), sweepMs).unref()
  }

  /** Takes a WebSocket whose upgrade is done. */
  accept(webSocket: WebSocket, socket: Socket): void {
    const connection = new Connection(webSocket, socket, this.#identity, this)
    const { faults, stats } = this.ctx
    connection.delayMs = () => latencyMs(faults, connection)
    this.#connections.add(connection)
    stats.socketsOpen += 1
    connection.stall(faults.take('stall', undefined) !== undefined)
  }

  finished(connection: Connection, handshake: FinishedHandshake): void {
    const payload = proto.ClientPayload.decode(handshake.payload)
    if (payload.devicePairingData) {
      const registration = readRegistration(payload.devicePairingData, handshake.clientStaticKey)
      if (!registration) {
        connection.end(streamEnd.failure(400))
        return
      }
      const pairing = new Pairing(connection, registration, {
        stateOf: (account) => this.ctx.accounts.find(account.phoneNumber),
        link: (linked) => linkDevice(this.ctx, linked),
      })
      this.ctx.pairings.add(pairing)
      pairing.offerRefs()
      return
    }
    if (this.ctx.faults.take('refuse_connections', String(payload.username ?? ''))) {
      connection.reset()
      return
    }
    const session = logIn(this.ctx, connection, handshake, payload)
    if (session) this.#sessions.set(connection, session)
  }

  received(connection: Connection, node: BinaryNode): void {
    const session = this.#sessions.get(connection)
    if (session) this.#takeFromSession(session, node)
    else this.#takeFromPairing(connection, node)
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection)
    this.ctx.stats.socketsOpen -= 1
    this.ctx.pairings.remove(connection)
    const session = this.#sessions.get(connection)
    this.#sessions.delete(connection)
    if (session?.companion.connection === connection) session.companion.connection = undefined
  }

  broken(connection: Connection, error: unknown): void {
    this.ctx.log.info({ err: error, phoneNumber: connection.phoneNumber }, 'sandbox.connection_broken')
  }

  closeAll(): void {
    for (const connection of this.#connections) connection.close()
  }

  /** Ends the sweep and cuts every socket. */
  stop(): void {
    clearInterval(this.#sweep)
    for (const connection of this.#connections) connection.reset()
  }

  #takeFromPairing(connection: Connection, node: BinaryNode): void {
    const pairing = this.ctx.pairings.of(connection)
    if (!pairing || node.tag !== 'iq') return
    const linkCode = childOf(node, 'link_code_companion_reg')
    if (node.attrs['xmlns'] === 'w:p') connection.send(iqResult(node, []))
    else if (linkCode) connection.send(iqResult(node, answerLinkCode(this.ctx.pairings, pairing, linkCode)))
    // Everything else must wait until the device has logged in.
  }

  #takeFromSession(session: Session, node: BinaryNode): void {
    const { state, companion, connection } = session
    const sender = { state, device: companion.device }
    switch (node.tag) {
      case 'iq':
        connection.send(answerIq(this.ctx, session, node))
        break
      case 'message':
        takeMessage(this.ctx, session, node)
        break
      case 'receipt':
        companion.inbox.receipted(node)
        routeReceipt(this.ctx, sender, node)
        connection.send(ackOf(node))
        break
      case 'ack':
        companion.inbox.acked(node)
        this.ctx.changed()
        break
      case 'chatstate':
        routeChatState(this.ctx, sender, node)
        break
      case 'presence':
        if (node.attrs['name'] !== undefined) companion.pushName = node.attrs['name'].slice(0, 100)
        break
      case 'call':
        connection.send(ackOf(node))
        break
      default:
        break
    }
  }

  /** One timer for all sockets: hundreds of them stay cheap. */
  #closeIdle(): void {
    const now = performance.now()
    for (const connection of this.#connections) {
      const age = now - connection.openedAt
      if (connection.isStalled) continue
      if (!connection.hasFinishedHandshake && age > handshakeTimeoutMs) connection.reset()
      else if (age > pairingTimeoutMs && this.ctx.pairings.of(connection)) connection.end()
    }
  }
}

/** The ack to what is not a message. */
function ackOf(node: BinaryNode): BinaryNode {
  const { id, to, type, participant } = node.attrs
  return stanza('ack', { class: node.tag, id, from: to ?? serverJid, type, participant, t: nowSeconds() })
}

function latencyMs(faults: Faults, connection: Connection): number {
  const late = faults.take('latency', connection.phoneNumber)
  return late ? Math.max(0, late.ms + (Math.random() * 2 - 1) * late.jitterMs) : 0
}
