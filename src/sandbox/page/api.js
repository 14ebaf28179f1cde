// Calls of the control API; a problem's detail becomes the error's message.

async function call(method, path, body) {
  const options = { method, signal: AbortSignal.timeout(45_000) }
  if (body !== undefined) Object.assign(options, { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
  const response = await fetch(path, options)
  const text = await response.text()
  const value = text === '' ? undefined : JSON.parse(text)
  if (response.ok) return value
  const faults = (value?.errors ?? []).map((fault) => `${fault.path}: ${fault.message}`)
  throw new Error(faults.length > 0 ? faults.join('; ') : (value?.detail ?? `Failed with ${response.status}`))
}

const phonePath = (phone, rest = '') => `/phones/${encodeURIComponent(phone)}${rest}`

export const api = {
  phones: () => call('GET', '/phones'),
  stats: () => call('GET', '/stats'),
  messages: (phone) => call('GET', phonePath(phone, '/messages?limit=1000')),
  addPhone: (phone) => call('POST', '/phones', phone),
  changePhone: (phone, change) => call('PATCH', phonePath(phone), change),
  scan: (phone, qr) => call('POST', phonePath(phone, '/scan'), { qr }),
  enterCode: (phone, code) => call('POST', phonePath(phone, '/enter-code'), { code }),
  unlink: (phone, deviceJid) => call('POST', phonePath(phone, '/unlink'), { deviceJid }),
  send: (phone, to, text) => call('POST', phonePath(phone, '/messages'), { to, text }),
  read: (phone, target) => call('POST', phonePath(phone, '/read'), target),
}
