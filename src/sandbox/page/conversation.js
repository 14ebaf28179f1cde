// One chat: its messages as the phone shows them.
import { byId, element, fill } from './element.js'
import { chatName } from './phone-panel.js'

const ticks = { pending: 'sending', sent: 'sent', delivered: 'delivered', read: 'read', failed: 'refused' }

export function showConversation(chat, messages, names, isTyping, read) {
  byId('chat-title').textContent =
    chat === undefined ? 'No chat chosen' : `${chatName(chat, names)}${isTyping ? ' · typing…' : ''}`
  byId('composer').hidden = chat === undefined || chat.includes('@')
  const shown = chat === undefined ? [] : messages.filter((message) => message.chat === chat)
  byId('read-all').hidden = shown.every((message) => message.fromMe || message.read)
  const list = byId('messages')
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60
  const changed = fill(list, [chat, shown], () => {
    if (chat === undefined) return []
    if (shown.length === 0) return [element('li', { class: 'hint' }, 'Nothing has been written here yet.')]
    return shown.map((message) => bubble(message, names, read))
  })
  if (changed && atEnd) list.scrollTop = list.scrollHeight
}

function bubble(message, names, read) {
  const unread = !message.fromMe && !message.read
  const text = message.deleted ? 'This message was taken back' : message.text
  const reactions = Object.values(message.reactions ?? {})
  return element(
    'li',
    { class: `bubble ${message.fromMe ? 'mine' : 'theirs'}${unread ? ' new' : ''}` },
    ...(message.chat.includes('@') && !message.fromMe ? [element('b', {}, chatName(message.from, names))] : []),
    ...(message.type === 'text' ? [] : [element('span', { class: 'kind' }, message.type)]),
    ...(message.linkPreview
      ? [element('b', {}, message.linkPreview.title), element('small', {}, message.linkPreview.description)]
      : []),
    element('p', { class: message.deleted ? 'gone' : false }, text),
    ...(reactions.length > 0 ? [element('span', { class: 'reactions' }, reactions.join(' '))] : []),
    element('footer', {}, ...footer(message, unread, read)),
  )
}

function footer(message, unread, read) {
  const time = new Date(message.at)
  const parts = [
    element('time', { datetime: message.at, title: message.at }, time.toLocaleTimeString([], { timeStyle: 'short' })),
  ]
  if (message.edited) parts.push('edited')
  if (message.duplicatesSeen > 0) parts.push(element('span', { class: 'warn' }, `+${message.duplicatesSeen} duplicate`))
  if (message.status) parts.push(element('span', { class: `status ${message.status}` }, ticks[message.status]))
  if (unread) parts.push(element('button', { type: 'button', class: 'link', onclick: () => read(message.id) }, 'Mark read'))
  return parts
}
