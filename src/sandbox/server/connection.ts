// One socket: frames, handshake, encrypted stanzas in and out, and its end. What the stanzas mean is decided elsewhere.
import type { Socket } from 'node:net'
import type { BinaryNode } from '@whiskeysockets/baileys'
import type { WebSocket } from 'ws'
import { encodeFrame, FrameReader } from '../wire/frames.ts'
import { ServerHandshake, type FinishedHandshake } from '../wire/handshake.ts'
import type { CipherState } from '../wire/noise.ts'
import type { ServerIdentity } from '../wire/server-identity.ts'
import { childOf, decodeStanza, encodeStanza, stanza } from '../wire/stanza.ts'
import { Outbox } from './outbox.ts'

export interface ConnectionEvents {
  /** The handshake is done: the client says who it is. */
  finished(connection: Connection, handshake: FinishedHandshake): void
  received(connection: Connection, node: BinaryNode): void
  closed(connection: Connection): void
  /** Something the client sent is not WhatsApp's protocol; the connection is cut. */
  broken(connection: Connection, error: unknown): void
}

type Answer = (answer: BinaryNode | undefined) => void

let lastNumber = 0

export class Connection {
  readonly openedAt = performance.now()
  /** In the order in which connections were opened, from 1. */
  readonly number = (lastNumber += 1)
  /** The account's number once the client has logged in; faults are scoped by it. */
  phoneNumber: string | undefined
  /** Whether the client takes deliveries: after `active`. */
  isActive = false
  /** Milliseconds each frame written is late. Asked per frame. */
  delayMs: () => number = () => 0

  readonly #webSocket: WebSocket
  readonly #socket: Socket
  readonly #events: ConnectionEvents
  readonly #handshake: ServerHandshake
  readonly #reader = new FrameReader()
  readonly #outbox: Outbox
  readonly #awaited = new Map<string, Answer>()
  #receive: CipherState | undefined
  #send: CipherState | undefined
  #isEnding = false
  #nextId = 1

  constructor(webSocket: WebSocket, socket: Socket, identity: ServerIdentity, events: ConnectionEvents) {
    this.#webSocket = webSocket
    this.#socket = socket
    this.#events = events
    this.#handshake = new ServerHandshake(identity)
    this.#outbox = new Outbox(webSocket)
    webSocket.on('message', (data) => this.#take(data as Buffer))
    webSocket.on('error', (error) => this.#events.broken(this, error))
    webSocket.once('close', () => this.#closed())
  }

  get isOpen(): boolean {
    return !this.#isEnding && this.#webSocket.readyState === this.#webSocket.OPEN
  }

  get hasFinishedHandshake(): boolean {
    return this.#send !== undefined
  }

  get isStalled(): boolean {
    return this.#outbox.isStalled
  }

  /** An id for a stanza that the server begins. */
  newId(): string {
    const id = `s-${this.#nextId}`
    this.#nextId += 1
    return id
  }

  /** Nothing is written once the stream is ending. */
  send(node: BinaryNode): void {
    if (this.isOpen) this.#write(node)
  }

  /** Sends an iq and gives its answer; undefined when none came in time or the connection ended. */
  async ask(node: BinaryNode, timeoutMs: number): Promise<BinaryNode | undefined> {
    const id = node.attrs['id'] ?? ''
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(id, undefined), timeoutMs)
      this.#awaited.set(id, (answer) => {
        clearTimeout(timer)
        resolve(answer)
      })
      this.send(node)
      if (!this.isOpen) this.#settle(id, undefined)
    })
  }

  stall(stalled: boolean): void {
    this.#outbox.stall(stalled)
  }

  /** Says why, ends the stream and closes the socket. */
  end(reason?: BinaryNode): void {
    if (!this.isOpen) return
    if (reason && this.#send) this.#write(reason)
    if (this.#send) this.#write(stanza('xmlstreamend'))
    this.#isEnding = true
    this.isActive = false
    this.#outbox.whenFlushed(() => this.#webSocket.close(1000))
  }

  /** Closes without a word. */
  close(): void {
    this.#isEnding = true
    this.isActive = false
    this.#outbox.stall(false)
    this.#webSocket.close(1000)
  }

  /** A TCP reset. */
  reset(): void {
    this.#isEnding = true
    this.isActive = false
    this.#socket.resetAndDestroy()
    this.#webSocket.terminate()
  }

  #write(node: BinaryNode): void {
    if (!this.#send) return
    this.#outbox.write(encodeFrame(this.#send.encrypt(encodeStanza(node))), this.delayMs())
  }

  #take(data: Buffer): void {
    if (this.#isEnding) return
    try {
      for (const frame of this.#reader.push(data)) {
        if (this.#isEnding) return
        this.#takeFrame(frame)
      }
    } catch (error) {
      this.#events.broken(this, error)
      this.reset()
    }
  }

  #takeFrame(frame: Buffer): void {
    if (this.#receive) {
      this.#takeStanza(decodeStanza(this.#receive.decrypt(frame)))
      return
    }
    if (!this.#handshake.greeted) {
      this.#outbox.write(encodeFrame(this.#handshake.hello(frame)), this.delayMs())
      return
    }
    const finished = this.#handshake.finish(frame)
    this.#receive = finished.receive
    this.#send = finished.send
    this.#events.finished(this, finished)
  }

  #takeStanza(node: BinaryNode): void {
    const { id, type } = node.attrs
    if (node.tag === 'iq' && (type === 'result' || type === 'error') && id !== undefined) {
      this.#settle(id, node)
    } else if (node.tag === 'xmlstreamend') {
      this.close()
    } else {
      this.#events.received(this, node)
    }
  }

  #settle(id: string, answer: BinaryNode | undefined): void {
    const awaited = this.#awaited.get(id)
    this.#awaited.delete(id)
    awaited?.(answer)
  }

  #closed(): void {
    this.#isEnding = true
    this.isActive = false
    this.#outbox.stop()
    for (const id of this.#awaited.keys()) this.#settle(id, undefined)
    this.#events.closed(this)
  }
}

/** The reasons a server gives before it ends a stream. */
export const streamEnd = {
  replaced: () => stanza('stream:error', {}, [stanza('conflict', { type: 'replaced' })]),
  deviceRemoved: () => stanza('stream:error', { code: '401' }, [stanza('conflict', { type: 'device_removed' })]),
  code: (code: number) => stanza('stream:error', { code: String(code) }),
  /** A temporary ban (402) says why and for how many seconds. */
  failure: (reason: number) =>
    stanza('failure', {
      reason: String(reason),
      location: 'sandbox',
      ...(reason === 402 ? { code: '101', expire: '3600' } : {}),
    }),
}

export function isErrorAnswer(answer: BinaryNode): boolean {
  return answer.attrs['type'] === 'error' || childOf(answer, 'error') !== undefined
}
