// A message arrives at a phone: decrypted, de-duplicated, shown, acknowledged, and perhaps read and answered at once.
import { jidDecode, type BinaryNode, type proto } from '@whiskeysockets/baileys'
import { addressingOf, resolveDevice, type DeviceAddress } from './address.ts'
import { messageKey, orderLane, type ShownMessage } from './chat-log.ts'
import { decryptMessage } from './decrypt-message.ts'
import { readContent, type Content } from './message-content.ts'
import { isAutomaticId } from './message-id.ts'
import type { PhoneState, PhoneWorld } from './phone-state.ts'
import { sendDelivered, sendRead, sendRetry } from './receipts.ts'
import { sendMessage } from './send-message.ts'

export async function receiveMessage(world: PhoneWorld, phone: PhoneState, stanza: BinaryNode): Promise<void> {
  const { counts } = phone.chats
  counts.frames += 1
  const { id, from, participant, recipient, category } = stanza.attrs
  const sender = resolveDevice(world.network, participant ?? from)
  if (!id || !from || !sender) {
    world.log.warn({ phoneNumber: phone.account.phoneNumber, messageId: id }, 'phone.message_unaddressed')
    return
  }
  const fromMe = sender.account.phoneNumber === phone.account.phoneNumber
  const chat = participant ? from : chatOf(world, fromMe ? (recipient ?? from) : from)
  const key = messageKey(chat, sender.account.phoneNumber, id)

  let message: proto.IMessage | undefined
  try {
    if (!fromMe && sender.device !== 0 && !phone.retries.has(key)) loseKeys(world, phone, sender)
    message = await decryptMessage(world, phone, stanza, sender)
  } catch (err) {
    if (!phone.chats.hasSeen(key)) {
      counts.decryptFailures += 1
      world.stats.decryptFailures += 1
      world.log.info({ err, phoneNumber: phone.account.phoneNumber, messageId: id }, 'phone.message_undecryptable')
      phone.chats.wait(key, orderLane(chat, sender.account.phoneNumber))
      sendRetry(world, phone, stanza, key)
      return
    }
  }
  phone.retries.delete(key)
  sendDelivered(world, phone, stanza, fromMe)
  if (phone.chats.hasSeen(key)) {
    phone.chats.countDuplicate(key)
    world.stats.duplicates += 1
    return
  }
  if (!message) return
  if (fromMe && category !== 'peer') message = message.deviceSentMessage?.message ?? message
  const content = category === 'peer' ? ({ kind: 'hidden' } as const) : readContent(message)
  const shown = apply(world, phone, stanza, content, { sender, chat, key, fromMe })
  if (shown && !fromMe) await react(world, phone, shown)
}

/** @throws Error when a fault has this phone lose what it knows of the sender's device */
function loseKeys(world: PhoneWorld, phone: PhoneState, sender: DeviceAddress): void {
  if (!world.faults.take('undecryptable', sender.account.phoneNumber)) return
  phone.keys.dropSession(sender.signalAddress)
  throw new Error('A fault was asked for: the keys of this device are lost.')
}

interface Origin {
  sender: DeviceAddress
  chat: string
  key: string
  fromMe: boolean
}

function apply(
  world: PhoneWorld,
  phone: PhoneState,
  stanza: BinaryNode,
  content: Content,
  { sender, chat, key, fromMe }: Origin,
): ShownMessage | undefined {
  const { id = '', from = '', t, participant } = stanza.attrs
  if (content.kind !== 'shown') {
    phone.chats.markSeen(key)
    if (content.kind !== 'hidden') phone.chats.change(chat, sender.account.phoneNumber, content)
    return undefined
  }
  const { message, brokeOrder } = phone.chats.show({
    id,
    chat,
    from: sender.account.phoneNumber,
    fromMe,
    type: content.type,
    text: content.text,
    at: t ? Number(t) * 1000 : Date.now(),
    senderJid: participant ?? from,
    ...(participant ? { groupJid: from } : {}),
    ...(content.replyTo ? { replyTo: content.replyTo } : {}),
    ...(content.linkPreview ? { linkPreview: content.linkPreview } : {}),
    ...(fromMe ? { status: 'sent' as const } : {}),
  })
  phone.typing.end(sender.account.phoneNumber)
  if (brokeOrder) world.stats.orderViolations += 1
  return message
}

/** What the person has told the phone to do by itself. */
async function react(world: PhoneWorld, phone: PhoneState, message: ShownMessage): Promise<void> {
  if (phone.settings.autoRead) sendRead(world, phone, message)
  const reply = phone.settings.autoReply
  if (reply === undefined || message.groupJid || isAutomaticId(message.id)) return
  const text = reply.replaceAll('{text}', () => message.text)
  await sendMessage(world, phone, {
    to: message.from,
    addressing: addressingOf(message.senderJid),
    content: { kind: 'text', text },
    automatic: true,
  })
}

function chatOf(world: PhoneWorld, jid: string): string {
  const user = jidDecode(jid)?.user
  return (user ? world.network.accountOf(user)?.phoneNumber : undefined) ?? user ?? jid
}
