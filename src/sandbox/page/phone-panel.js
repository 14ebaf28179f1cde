// The list of phones, and of the chosen one its facts, linked devices and chats.
import { byId, element, fill } from './element.js'

export function showPhones(phones, chosen, choose) {
  byId('no-phones').hidden = phones.length > 0
  fill(byId('phone-list'), [phones, chosen], () => phones.map((phone) => phoneItem(phone, phone.phoneNumber === chosen, choose)))
}

function phoneItem(phone, isChosen, choose) {
  const linked = phone.linkedDevices.length > 0 ? ' · linked' : ''
  return element(
    'li',
    {},
    element(
      'button',
      { type: 'button', class: 'item', 'aria-current': isChosen && 'true', onclick: () => choose(phone.phoneNumber) },
      avatar(phone.name),
      element(
        'span',
        { class: 'lines' },
        element('strong', {}, phone.name),
        element('small', {}, `+${phone.phoneNumber}${linked}`),
      ),
      ...unreadMark(phone.unread),
    ),
  )
}

export function showPhone(phone, messages, names, { chat, openChat, unlink }) {
  byId('phone-title').textContent = phone ? phone.name : 'No phone chosen'
  byId('phone-hint').hidden = phone !== undefined
  byId('phone-body').hidden = phone === undefined
  if (!phone) return
  const { counts } = phone
  const facts = [
    ['Number', `+${phone.phoneNumber}`],
    ['LID', phone.lid],
    ['Frames', counts.frames],
    ['Duplicates', counts.duplicates],
    ['Out of order', counts.orderViolations],
    ['Not decrypted', counts.decryptFailures + (phone.waiting > 0 ? ` (${phone.waiting} waiting)` : '')],
  ]
  fill(byId('facts'), facts, () =>
    facts.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, String(value)))),
  )
  fill(byId('devices'), [phone.phoneNumber, phone.linkedDevices], () => deviceList(phone, unlink))
  const chats = chatsOf(messages)
  fill(byId('chat-list'), [chats, chat, names], () => {
    if (chats.length === 0) return [element('li', { class: 'hint' }, 'No messages yet.')]
    return chats.map((each) => chatItem(each, names, each.chat === chat, openChat))
  })
}

function deviceList(phone, unlink) {
  if (phone.linkedDevices.length === 0) return [element('p', { class: 'hint' }, 'No device is linked to this phone.')]
  return phone.linkedDevices.map((jid) =>
    element(
      'p',
      { class: 'device' },
      element('span', {}, `Device ${jid.split(':')[1]?.split('@')[0]} is linked`),
      element('button', { type: 'button', class: 'danger', onclick: () => unlink(jid) }, 'Remove'),
    ),
  )
}

/** Newest first. */
function chatsOf(messages) {
  const chats = new Map()
  for (const message of messages) {
    const unread = (chats.get(message.chat)?.unread ?? 0) + (message.fromMe || message.read ? 0 : 1)
    chats.delete(message.chat)
    chats.set(message.chat, { chat: message.chat, last: preview(message), at: message.at, unread })
  }
  return [...chats.values()].toReversed()
}

function chatItem({ chat, last, unread }, names, isChosen, openChat) {
  return element(
    'li',
    {},
    element(
      'button',
      { type: 'button', class: 'item', 'aria-current': isChosen && 'true', onclick: () => openChat(chat) },
      avatar(names[chat] ?? chat),
      element('span', { class: 'lines' }, element('strong', {}, chatName(chat, names)), element('small', {}, last)),
      ...unreadMark(unread),
    ),
  )
}

function preview(message) {
  if (message.deleted) return 'This message was taken back'
  const text = message.text || `(${message.type})`
  return (message.fromMe ? 'You: ' : '') + text.slice(0, 120)
}

export function chatName(chat, names) {
  return names[chat] ?? (chat.includes('@') ? chat : `+${chat}`)
}

function avatar(name) {
  return element('span', { class: 'avatar', 'aria-hidden': 'true' }, (/\p{L}/u.exec(name)?.[0] ?? '#').toUpperCase())
}

function unreadMark(count) {
  if (count === 0) return []
  return [element('span', { class: 'unread' }, String(count), element('span', { class: 'unseen' }, ' unread'))]
}
