// A process of its own that pairs, sends, and makes libsignal close sessions, which is when it prints them; run by a test.
import { setTimeout as delay } from 'node:timers/promises'
import { createLog } from '../../src/platform/log.ts'
import { quietConsole } from '../../src/platform/quiet-console.ts'
import { SandboxClient } from '../../scripts/support/sandbox-client.ts'

const [url = '', controlUrl = '', business = '', friend = ''] = process.argv.slice(2)
const log = createLog({ process: 'noisy', level: 'trace' })
quietConsole(log)
const { WhatsAppSession } = await import('./whatsapp-session.ts')
const { default: libsignal } = (await import('libsignal')) as unknown as {
  default: { SessionRecord: { prototype: { closeSession: (entry: unknown) => void } } }
}

let closedSessions = 0
const secrets = new Set<string>()
const { prototype } = libsignal.SessionRecord
const closeSession = prototype.closeSession
prototype.closeSession = function (this: unknown, entry: unknown) {
  closedSessions += 1
  return closeSession.call(this, entry)
}

const sandbox = { client: new SandboxClient(controlUrl) }
const session = new WhatsAppSession(url)
session.overrides = { log }
await session.pair(sandbox, business)
for (let round = 0; round < 3; round += 1) {
  await session.send(friend, `siri-ya-maneno-${round}`)
  // A device list that has to be fetched again rebuilds the Signal sessions, and closes those that stood.
  session.caches.devices.flushAll()
}
await sandbox.client.sendFrom(friend, { to: business, text: 'siri-ya-jibu' })
for (let i = 0; session.inbound.length === 0 && i < 500; i += 1) await delay(10)
for (const [key, value] of session.credentials.entries) {
  if (key.startsWith('session.') || key === 'creds.') collect(JSON.parse(Buffer.from(value).toString()))
}
await session.close()

function collect(value: unknown): void {
  if (typeof value === 'string' && /^[A-Za-z0-9+/]{43}=$/.test(value)) secrets.add(value)
  else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect)
}

// To the parent alone, over the channel: stdout and stderr are what is being looked at.
process.send?.({ closedSessions, secrets: [...secrets], inbound: session.inbound.length }, () => process.exit(0))
