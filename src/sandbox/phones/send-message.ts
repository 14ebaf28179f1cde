// A person writes: the message is shown on their own phone, encrypted for every device concerned, and handed to the network.
import { proto } from '@whiskeysockets/baileys'
import { jidOf, resolveDevice, type Addressing } from './address.ts'
import { encryptForDevices } from './encrypt-message.ts'
import { newMessageId } from './message-id.ts'
import { buildMessage, type OutgoingContent } from './outgoing-content.ts'
import { PhoneError } from './phone-error.ts'
import type { PhoneState, PhoneWorld } from './phone-state.ts'

export interface Outgoing {
  /** Phone number or LID. */
  to: string
  addressing: Addressing
  content: OutgoingContent
  /** Chosen by the caller, to repeat an id on purpose. */
  id?: string
  automatic?: boolean
}

/**
 * Resolves with the message's id when the network has it; its ack and receipts change its `status` later.
 * @throws PhoneError `recipient_not_on_whatsapp`, `message_not_found`, `encryption_failed`
 */
export async function sendMessage(world: PhoneWorld, phone: PhoneState, outgoing: Outgoing): Promise<string> {
  const { network } = world
  const recipient = network.accountOf(outgoing.to)
  const theirDevices = recipient ? network.devicesOf(recipient.phoneNumber) : []
  if (!recipient || theirDevices.length === 0) {
    throw new PhoneError('recipient_not_on_whatsapp', `${outgoing.to} has no phone in this sandbox.`)
  }
  const id = outgoing.id ?? newMessageId(outgoing.automatic === true)
  const chat = recipient.phoneNumber
  const destinationJid = jidOf(recipient, outgoing.addressing)
  const { message, stanzaType, attrs } = buildMessage(phone, chat, destinationJid, outgoing.content)
  const plain = Buffer.from(proto.Message.encode(message).finish())
  const deviceSent = Buffer.from(proto.Message.encode({ deviceSentMessage: { destinationJid, message } }).finish())
  const sent = { id, destinationJid, stanzaType, plain, deviceSent }

  const toMyself = chat === phone.account.phoneNumber
  const ownDevices = network.devicesOf(phone.account.phoneNumber)
  const deviceJids = (toMyself ? ownDevices : [...theirDevices, ...ownDevices]).flatMap((jid) => {
    const address = resolveDevice(network, jid)
    const isThisPhone = address?.device === 0 && address.account.phoneNumber === phone.account.phoneNumber
    return address && !isThisPhone ? [jidOf(address.account, outgoing.addressing, address.device)] : []
  })
  const participants = await encryptForDevices(world, phone, deviceJids, sent)
  if (participants.length === 0 && !toMyself) throw new PhoneError('encryption_failed')

  phone.sent.add(sent)
  showOwn(phone, chat, id, destinationJid, outgoing.content)
  const content = [{ tag: 'participants', attrs: {}, content: participants }]
  if (participants.length > 0) {
    network.sendFromPrimary(phone.account, {
      tag: 'message',
      attrs: { id, to: destinationJid, type: stanzaType, ...attrs },
      content,
    })
  }
  return id
}

function showOwn(phone: PhoneState, chat: string, id: string, senderJid: string, content: OutgoingContent): void {
  const from = phone.account.phoneNumber
  const common = { id, chat, from, fromMe: true, at: Date.now(), senderJid, status: 'pending' as const }
  if (phone.chats.find(id, true)) return
  if (content.kind === 'text') {
    const replyTo = content.replyTo === undefined ? {} : { replyTo: content.replyTo }
    phone.chats.show({ ...common, ...replyTo, type: 'text', text: content.text })
  } else if (content.kind === 'location') {
    phone.chats.show({ ...common, type: 'location', text: content.name ?? `${content.latitude}, ${content.longitude}` })
  } else {
    phone.chats.change(chat, from, content)
  }
}
