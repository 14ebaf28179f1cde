// The page of the sandbox: phones, their chats, and what a person can do with them; asks anew every second while visible.
import { api } from './api.js'
import { showConversation } from './conversation.js'
import { byId, onSubmit } from './element.js'
import { showPhone, showPhones } from './phone-panel.js'

const refreshMs = 1_000
const state = { phones: [], stats: undefined, phone: undefined, chat: undefined, messages: [] }

async function refresh() {
  const asked = state.phone
  const [phones, stats, messages] = await Promise.all([api.phones(), api.stats(), asked ? api.messages(asked) : []])
  if (asked !== state.phone) return
  Object.assign(state, { phones, stats, messages })
  if (asked && !phones.some((phone) => phone.phoneNumber === asked)) choosePhone(undefined)
  else render()
}

/** Errors end here: they are shown as "does not answer", and the next round tries again. */
async function refreshNow() {
  try {
    await refresh()
    byId('offline').hidden = true
  } catch {
    byId('offline').hidden = false
  }
}

function render() {
  const { phones, stats, messages, chat } = state
  const names = Object.fromEntries(phones.map((phone) => [phone.phoneNumber, phone.name]))
  showPhones(phones, state.phone, choosePhone)
  showPhone(chosenPhone(), messages, names, { chat, openChat, unlink })
  const isTyping = chosenPhone()?.typing.some(({ from, endedAt }) => from === chat && endedAt === null) === true
  showConversation(chat, messages, names, isTyping, (id) => act(api.read(state.phone, { id })))
  byId('stats').textContent = stats
    ? `${stats.socketsOpen} connected · ${stats.frames} frames · ${stats.duplicates} duplicates · ${stats.orderViolations} out of order`
    : ''
}

function chosenPhone() {
  return state.phones.find((phone) => phone.phoneNumber === state.phone)
}

function choosePhone(phoneNumber) {
  Object.assign(state, { phone: phoneNumber, chat: undefined, messages: [] })
  const phone = chosenPhone()
  const habits = byId('habits')
  if (phone) {
    habits.elements.autoRead.checked = phone.autoRead
    habits.elements.autoReply.value = phone.autoReply ?? ''
    byId('link').open = phone.linkedDevices.length === 0 && phone.counts.frames === 0
  }
  for (const problem of document.querySelectorAll('.problem')) problem.textContent = ''
  turnTo(phoneNumber === undefined ? 'phones' : 'chats')
  render()
  void refreshNow()
}

function openChat(chat) {
  state.chat = chat
  turnTo('conversation')
  render()
  byId('messages').scrollTop = byId('messages').scrollHeight
  if (!chat.includes('@')) byId('composer').elements.text.focus({ preventScroll: true })
}

/** On a narrow screen one column is seen at a time. */
function turnTo(view) {
  document.body.dataset.view = view
}

/** Does it and shows the result at once; a failure shows as text in the bar. */
async function act(request) {
  try {
    await request
  } catch (error) {
    byId('stats').textContent = error.message
  }
  await refreshNow()
}

function unlink(deviceJid) {
  void act(api.unlink(state.phone, deviceJid))
}

const digits = (text) => text.replaceAll(/\D/g, '')

onSubmit(byId('add-phone'), {
  send: async (fields) => {
    const name = fields.get('name').trim()
    const phone = await api.addPhone({ phoneNumber: fields.get('phoneNumber'), ...(name ? { name } : {}) })
    await refreshNow()
    choosePhone(phone.phoneNumber)
  },
})
onSubmit(byId('scan'), {
  send: async (fields) => {
    await api.scan(state.phone, fields.get('qr').trim())
    byId('link').open = false
    await refreshNow()
  },
})
onSubmit(byId('enter-code'), {
  send: async (fields) => {
    await api.enterCode(state.phone, fields.get('code'))
    byId('link').open = false
    await refreshNow()
  },
})
onSubmit(byId('habits'), {
  clears: false,
  send: async (fields) => {
    await api.changePhone(state.phone, { autoRead: fields.has('autoRead'), autoReply: fields.get('autoReply') || null })
    await refreshNow()
  },
})
onSubmit(byId('new-chat'), {
  send: async (fields) => {
    const chat = digits(fields.get('chat'))
    if (!state.phones.some((phone) => phone.phoneNumber === chat)) throw new Error('There is no phone with this number.')
    openChat(chat)
  },
})
onSubmit(byId('composer'), {
  send: async (fields) => {
    await api.send(state.phone, state.chat, fields.get('text'))
    await refreshNow()
  },
})
byId('composer').elements.text.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  byId('composer').requestSubmit()
})
byId('read-all').addEventListener('click', () => void act(api.read(state.phone, { chat: state.chat })))
for (const back of document.querySelectorAll('.back')) back.addEventListener('click', () => turnTo(back.dataset.to))

async function keepFresh() {
  for (;;) {
    if (!document.hidden) await refreshNow()
    await new Promise((resolve) => setTimeout(resolve, refreshMs))
  }
}
void keepFresh()
