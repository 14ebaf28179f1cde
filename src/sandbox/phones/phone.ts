// One person's phone: the account's primary device, always online, with its keys, chats and habits.
import type { BinaryNode } from '@whiskeysockets/baileys'
import type { Account, PrekeyBundle, PrimaryDevice } from '../device.ts'
import { resolveDevice } from './address.ts'
import { ChatLog, type SavedChatLog } from './chat-log.ts'
import { GroupKeys, type SavedGroupKeys } from './group-keys.ts'
import { enterCode, scanQr } from './link-companion.ts'
import { PhoneError } from './phone-error.ts'
import type { PhoneSettings, PhoneState, PhoneWorld } from './phone-state.ts'
import { receiveMessage } from './receive-message.ts'
import { receiveAck, receiveReceipt } from './receive-receipt.ts'
import { sendRead } from './receipts.ts'
import { sendMessage, type Outgoing } from './send-message.ts'
import { SentLog, type SentMessage } from './sent-log.ts'
import { SignalKeys, type SavedSignalKeys } from './signal-keys.ts'
import { TypingLog } from './typing-log.ts'
import { welcomeCompanion } from './welcome-companion.ts'
import type { WorkQueue } from './work-queue.ts'

export interface SavedPhone {
  account: Account
  settings: PhoneSettings
  /** Missing while nothing has needed the keys. */
  keys?: SavedSignalKeys
  groupKeys: SavedGroupKeys
  chats: SavedChatLog
  sent: SentMessage[]
}

export class Phone implements PrimaryDevice, PhoneState {
  readonly account: Account
  readonly settings: PhoneSettings
  readonly chats: ChatLog
  readonly typing = new TypingLog()
  readonly groupKeys: GroupKeys
  readonly sent = new SentLog()
  readonly retries = new Map<string, number>()
  readonly #world: PhoneWorld
  readonly #work: WorkQueue
  #keys: SignalKeys | undefined
  #removed = false

  constructor(world: PhoneWorld, work: WorkQueue, saved: Pick<SavedPhone, 'account' | 'settings'> & Partial<SavedPhone>) {
    this.#world = world
    this.#work = work
    this.account = saved.account
    this.settings = saved.settings
    this.chats = new ChatLog(saved.chats)
    this.groupKeys = new GroupKeys(saved.groupKeys)
    this.sent.restore(saved.sent ?? [])
    if (saved.keys) this.#keys = new SignalKeys(saved.keys)
  }

  /** Made when first needed: thousands of phones that nobody writes to cost nothing. */
  get keys(): SignalKeys {
    this.#keys ??= new SignalKeys()
    return this.#keys
  }

  deliver(stanza: BinaryNode): void {
    this.#later(`phone.${stanza.tag}_failed`, () => this.#receive(stanza))
  }

  takePrekeyBundle(): PrekeyBundle {
    return this.keys.takeBundle()
  }

  companionLinked(deviceJid: string): void {
    this.#later('phone.welcome_failed', () => welcomeCompanion(this.#world, this, deviceJid))
  }

  companionUnlinked(deviceJid: string): void {
    this.#later('phone.unlink_failed', () => this.#forgetDevice(deviceJid))
  }

  /** @throws PhoneError */
  async scan(qrText: string): Promise<{ deviceJid: string }> {
    return scanQr(this.#world, this, qrText)
  }

  /** @throws PhoneError */
  async enterCode(code: string): Promise<{ deviceJid: string }> {
    return enterCode(this.#world, this, code)
  }

  /** @throws PhoneError */
  async send(outgoing: Outgoing): Promise<string> {
    const id = await this.#work.run(() => sendMessage(this.#world, this, outgoing))
    this.#world.network.changed()
    return id
  }

  /** Reads one message. @throws PhoneError `message_not_found` */
  read(id: string): void {
    const message = this.chats.find(id, false)
    if (!message) throw new PhoneError('message_not_found')
    if (sendRead(this.#world, this, message)) this.#world.network.changed()
  }

  /** From now on nothing reaches it any more. */
  remove(): void {
    this.#removed = true
  }

  save(): SavedPhone {
    const { account, settings } = this
    const keys = this.#keys ? { keys: this.#keys.save() } : {}
    return { account, settings, ...keys, groupKeys: this.groupKeys.save(), chats: this.chats.save(), sent: this.sent.save() }
  }

  #later(event: string, run: () => Promise<void> | void): void {
    const task = async () => {
      if (this.#removed) return
      await run()
      this.#world.network.changed()
    }
    this.#work.push(task, (err) => this.#world.log.error({ err, phoneNumber: this.account.phoneNumber }, event))
  }

  async #receive(stanza: BinaryNode): Promise<void> {
    if (stanza.tag === 'message') await receiveMessage(this.#world, this, stanza)
    else if (stanza.tag === 'receipt') await receiveReceipt(this.#world, this, stanza)
    else if (stanza.tag === 'ack') receiveAck(this, stanza)
    else if (stanza.tag === 'chatstate') this.#seeTyping(stanza)
    else if (stanza.tag === 'notification' && stanza.attrs['type'] === 'devices') this.#forgetRemovedDevices(stanza)
  }

  #seeTyping({ attrs, content }: BinaryNode): void {
    const from = resolveDevice(this.#world.network, attrs['from'])?.account.phoneNumber
    if (from === undefined || !Array.isArray(content)) return
    if (content.some(({ tag }) => tag === 'composing')) this.typing.begin(from)
    else this.typing.end(from)
  }

  /** A device number may be given to another client later: its old session must not meet it. */
  #forgetRemovedDevices(stanza: BinaryNode): void {
    const changes = Array.isArray(stanza.content) ? stanza.content.filter((child) => child.tag === 'remove') : []
    for (const device of changes.flatMap((change) => (Array.isArray(change.content) ? change.content : []))) {
      if (device.tag === 'device' && device.attrs['jid']) this.#forgetDevice(device.attrs['jid'])
    }
  }

  #forgetDevice(deviceJid: string): void {
    const address = resolveDevice(this.#world.network, deviceJid)
    if (address && address.device !== 0) this.#keys?.dropSession(address.signalAddress)
  }
}
