// What comes in on one socket: acks, receipts and messages, taken from the stanzas themselves and stored before WhatsApp hears so.
import { jidDecode, proto, unpadRandomMax16, type BaileysEventMap, type BinaryNode, type WASocket } from '@whiskeysockets/baileys'
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { lidOf, phoneNumberOf, userOf } from './address.ts'
import { deviceListHash, type ListedDevice } from './device-hash.ts'
import { envelopeOf, isFromPerson, toInboundMessage, type InboundEnvelope } from './inbound-message.ts'
import type { OrderedEvents } from './ordered-events.ts'
import type { PendingAcks } from './pending-acks.ts'
import { toReceiptUpdate } from './receipts.ts'
import type { SessionCaches } from './session-caches.ts'
import type { ClientEvents } from './whatsapp-client.ts'

interface IncomingDeps {
  acks: PendingAcks
  caches: SessionCaches
  ordered: OrderedEvents
  events: Pick<ClientEvents, 'inbound' | 'receipt' | 'lateAck'>
  hasInbound(whatsappId: string): Promise<boolean>
  log: Log
}

export class Incoming {
  readonly #deps: IncomingDeps
  /** Which stanza a ciphertext came in: Baileys decrypts without saying. */
  readonly #stanzas = new WeakMap<Uint8Array, BinaryNode>()
  #socket: WASocket | undefined

  constructor(deps: IncomingDeps) {
    this.#deps = deps
  }

  attach(socket: WASocket): void {
    this.#socket = socket
    // Only what the phone sends later in place of a message that came without content; all else goes through `decrypted`.
    socket.ev.on('messages.upsert', (upsert) => this.#resent(upsert))
  }

  /** Called for each decrypted stanza, before Baileys handles it. Must not throw. */
  stanza(node: BinaryNode): void {
    try {
      if (node.tag === 'ack' && node.attrs['class'] === 'message') this.#ack(node)
      else if (node.tag === 'receipt') this.#receipt(node)
      else if (node.tag === 'message') this.#remember(node)
      else if (node.tag === 'notification') this.#devicesChanged(node)
    } catch (err) {
      this.#deps.log.warn({ err, stanza: node.tag }, 'whatsapp.stanza_unreadable')
    }
  }

  /**
   * Between decryption and the commit of the ratchet. Rejects when the message could not be stored: it then comes again. What came
   * after the end is known to nobody: its ratchet must not move, or it could never be read.
   */
  async decrypted(ciphertext: Uint8Array, plaintext: Uint8Array): Promise<void> {
    const stanza = this.#stanzas.get(ciphertext)
    if (!stanza) throw new AppError('socket_closed')
    const envelope = envelopeOf(stanza, this.#me())
    if (envelope) await this.#report(envelope, proto.Message.decode(unpadRandomMax16(plaintext)))
  }

  async isStored(ciphertext: Uint8Array): Promise<boolean> {
    const whatsappId = this.#stanzas.get(ciphertext)?.attrs['id']
    return whatsappId !== undefined && this.#deps.hasInbound(whatsappId)
  }

  #ack(node: BinaryNode): void {
    const { id, error } = node.attrs
    if (!id) return
    const code = error === undefined ? null : Number(error)
    const at = Date.now()
    this.#deps.acks.heard(id)
    this.#devicesHashed(node)
    const taken = this.#deps.acks.acked(id, Number.isNaN(code) ? 0 : code, at)
    if (taken === 'late') this.#deps.ordered.post(() => this.#deps.events.lateAck({ whatsappId: id, at }))
  }

  /** Baileys acks the receipt when its own turn in this mutex is over, so it must come after ours. */
  #receipt(node: BinaryNode): void {
    const update = toReceiptUpdate(node, this.#me())
    if (!update || !this.#socket) return
    for (const whatsappId of update.whatsappIds) this.#deps.acks.acked(whatsappId, null, update.at)
    const { events, ordered } = this.#deps
    this.#socket.receiptMutex.mutex(() => ordered.run(() => events.receipt(update))).catch(() => undefined)
  }

  #remember(node: BinaryNode): void {
    // Baileys puts what waited for us in a queue of its own, which newer messages overtake.
    delete node.attrs['offline']
    if (!Array.isArray(node.content)) return
    for (const child of node.content) {
      if (child.tag === 'enc' && child.content instanceof Uint8Array) this.#stanzas.set(child.content, node)
    }
  }

  /** Baileys keeps lists by phone number up to date; those by LID, and that of our own account, are left to us. */
  #devicesChanged(node: BinaryNode): void {
    const { type, lid } = node.attrs
    const { devices } = this.#deps.caches
    if (type === 'devices' && lid) devices.del(userOf(lid))
    if (type !== 'account_sync' || !Array.isArray(node.content) || !node.content.some(({ tag }) => tag === 'devices')) return
    const me = this.#me()
    for (const jid of [me.id, me.lid]) devices.del(userOf(jid))
  }

  /** The server names with an ack the devices it knows of; a notification of a new one may never have reached us. */
  #devicesHashed({ attrs: { from, phash } }: BinaryNode): void {
    const to = jidDecode(from)
    if (!phash || !to || to.server === 'g.us') return
    const { devices, deviceHashes } = this.#deps.caches
    // Looked at once for each hash: should the server's be made of something else than ours, we must not ask for ever.
    if (deviceHashes.get(to.user) === phash) return
    const me = this.#me()
    const own = jidDecode(to.server === 'lid' ? me.lid : me.id)
    const [ourList, theirList] = [own?.user, to.user].map((user) => devices.get<ListedDevice[]>(user ?? ''))
    if (!own || !ourList || !theirList) return
    deviceHashes.set(to.user, phash)
    if (deviceListHash([own, ...ourList, ...theirList]) === phash) return
    devices.del(to.user)
    devices.del(own.user)
  }

  #resent({ messages, requestId }: BaileysEventMap['messages.upsert']): void {
    if (requestId === undefined) return
    for (const { key, message, messageTimestamp, pushName } of messages) {
      if (!message || !isFromPerson(key)) continue
      const seconds = Number(messageTimestamp)
      const at = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : Date.now()
      this.#report({ key, at, pushName: pushName ?? null }, message).catch(() => undefined)
    }
  }

  async #report(envelope: InboundEnvelope, message: proto.IMessage): Promise<void> {
    const { ordered, events, caches } = this.#deps
    const inbound = toInboundMessage(envelope, message)
    if (!inbound) return
    if (inbound.fromPhoneNumber === null || inbound.fromLid === null) {
      const known = await this.#otherAddress(inbound.fromPhoneNumber, inbound.fromLid)
      Object.assign(inbound, toInboundMessage(envelope, message, known))
    }
    if (inbound.fromPhoneNumber !== null && caches.contacts.get(inbound.fromPhoneNumber)?.exists !== true) {
      const jid = `${inbound.fromPhoneNumber}@s.whatsapp.net`
      caches.contacts.set(inbound.fromPhoneNumber, { exists: true, jid, lid: inbound.fromLid })
    }
    await ordered.run(() => events.inbound(inbound))
  }

  /** From what Baileys has learnt so far; asks nobody for a number's LID that the stanza did not bring. */
  async #otherAddress(
    phoneNumber: string | null,
    lid: string | null,
  ): Promise<{ phoneNumber: string | null; lid: string | null }> {
    const mapping = this.#socket?.signalRepository.lidMapping
    if (lid !== null && phoneNumber === null) {
      return { phoneNumber: phoneNumberOf(await mapping?.getPNForLID(lid)), lid }
    }
    const known = phoneNumber === null ? undefined : this.#deps.caches.contacts.get(phoneNumber)
    return { phoneNumber, lid: lid ?? lidOf(known?.lid) }
  }

  #me(): { id: string; lid: string } {
    const user = this.#socket?.user
    return { id: user?.id ?? '', lid: user?.lid ?? '' }
  }
}
