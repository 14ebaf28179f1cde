// Canaries through a whole running fleet: keys, secrets, words and codes are put through everything, and none may be seen afterwards.
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCredentialVault } from '../../src/store/credential-vault.ts'
import { createKeyRing } from '../../src/store/key-ring.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import { startTestFleet, type TestFleet } from '../support/fleet.ts'
import { startTestProxy, type TestProxy } from '../support/proxies.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait.ts'

const businesses = ['254788100201', '254788100202'] as const
const person = '254788100203'
const stranger = '254788100204'
const words = {
  outbound: 'canary-outbound-word',
  inbound: 'canary-inbound-word',
  refused: 'canary-refused-word',
  failed: 'canary-failed-word',
  scheduled: 'canary-scheduled-word',
  batch: 'canary-batch-word',
}
const given = {
  header: 'canary-header-value',
  urlToken: 'canary-url-token',
  wrongKey: 'uj_admin_canarywrongkey0000000000000000000000',
  queryKey: 'canary-query-key',
  formKey: 'canary-form-key',
  malformed: 'canary-malformed-body',
  proxyPassword: 'canary-proxy-password',
}

let test_: TestFleet
let unwell: Receiver
let proxy: TestProxy
/** By name, so that a failure does not print one. */
const canaries = new Map<string, string>([...Object.entries(words), ...Object.entries(given)])
/** Codes that link a phone: allowed in the few Redis keys that exist to hold them, for as long as they are good. */
const codes = new Map<string, string>()
const problems: string[] = []
beforeAll(async () => {
  unwell = await startReceiver()
  proxy = await startTestProxy('http')
  unwell.answerWith((request) => ({ status: 500, body: request.body }))
  test_ = await startTestFleet({ sessions: 1, env: { LOG_LEVEL: 'trace' } })
}, 90_000)
afterAll(async () => {
  await test_.close()
  await unwell.close()
  await proxy.close()
})

/** Whatever is answered; problems are kept to be searched. */
async function call(method: string, path: string, key: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(test_.fleet.apiUrl + path, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
    redirect: 'manual',
  })
  const text = await response.text()
  if (response.status >= 400) problems.push(text, JSON.stringify([...response.headers]))
  return { status: response.status, body: (text.startsWith('{') ? JSON.parse(text) : {}) as Record<string, unknown> }
}

const text = (body: string) => ({ to: person, type: 'text', text: { body } })

/** What WhatsApp's own credentials are made of, opened with the master key. */
async function credentialsOf(sessionId: string): Promise<Map<string, string>> {
  const { config } = test_.fleet
  const log = pino({ level: 'silent' })
  const store = await openSqliteStore(config.sqlitePath)
  try {
    const vault = createCredentialVault({ credentials: store.credentials, keyRing: createKeyRing(config, log) })
    const bytes = await vault.forSession(sessionId, 0).readCreds()
    const creds = JSON.parse(Buffer.from(bytes ?? []).toString()) as Record<string, { private?: { data: string } }>
    const found = new Map<string, string>()
    for (const name of ['noiseKey', 'signedIdentityKey', 'pairingEphemeralKeyPair']) {
      const base64 = creds[name]?.private?.data
      if (base64) found.set(`creds ${name}`, base64)
      if (base64) found.set(`creds ${name} hex`, Buffer.from(base64, 'base64').toString('hex'))
    }
    return found
  } finally {
    await store.close()
  }
}

/** Key → all it holds, as text. */
async function everythingInRedis(): Promise<Map<string, string>> {
  const redis = new Redis(test_.fleet.config.redisSocketPath)
  try {
    const found = new Map<string, string>()
    for (const key of await redis.keys('*')) {
      const type = await redis.type(key)
      const value =
        type === 'string'
          ? await redis.get(key)
          : type === 'hash'
            ? await redis.hgetall(key)
            : type === 'list'
              ? await redis.lrange(key, 0, -1)
              : type === 'set'
                ? await redis.smembers(key)
                : type === 'zset'
                  ? await redis.zrange(key, '0', '-1')
                  : await redis.xrange(key, '-', '+')
      found.set(key, `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    }
    return found
  } finally {
    redis.disconnect()
  }
}

/** Every file of the data directory but those whose purpose is to hold secrets: logs, PM2's own files and dumps, sockets' neighbours. */
async function everyFile(): Promise<Map<string, string>> {
  const entries = await readdir(test_.dataDir, { recursive: true, withFileTypes: true })
  const found = new Map<string, string>()
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name).slice(test_.dataDir.length + 1)
    if (!entry.isFile() || /^(admin-key|credentials-key|ujumbe\.db.*|redis\/.*|sandbox\/.*)$/.test(path)) continue
    found.set(path, await readFile(join(test_.dataDir, path), 'latin1'))
  }
  return found
}

function seenIn(places: Map<string, string>, wanted: Map<string, string>): string[] {
  return [...places].flatMap(([place, content]) =>
    [...wanted].filter(([, value]) => content.includes(value)).map(([name]) => `${name} in ${place}`),
  )
}

test('no key, secret, code or word is in a log, a metric, a job, a Redis key or an error', { timeout: 150_000 }, async () => {
  const { fleet, sandbox, receiver } = test_
  const admin = fleet.admin.key
  canaries.set('admin key', admin)
  canaries.set('master key', (await readFile(join(test_.dataDir, 'credentials-key'), 'utf8')).trim())
  await sandbox.addPhone({ phoneNumber: person, autoRead: true })
  const session = await test_.pairedSession(businesses[0])
  const { apiKey: key, id, webhookSecret = '' } = session
  canaries.set('session key', key)
  canaries.set('webhook secret', webhookSecret)
  canaries.set('bare webhook secret', webhookSecret.slice('whsec_'.length))
  for (const [name, value] of await credentialsOf(id)) canaries.set(name, value)
  expect([...canaries.keys()]).toContain('creds noiseKey')

  // Endpoints, keys, and their rotation.
  const endpoint = await call('POST', '/v1/webhooks', key, {
    url: `${unwell.url}?token=${given.urlToken}`,
    events: ['message.*'],
    headers: { 'X-Token': given.header },
  })
  expect(endpoint.status).toBe(201)
  canaries.set('endpoint secret', String(endpoint.body['secret']))
  const rotated = await call('POST', `/v1/webhooks/${String(endpoint.body['id'])}/rotate-secret`, key, {})
  canaries.set('rotated secret', String(rotated.body['secret']))
  await call('POST', `/v1/webhooks/${String(endpoint.body['id'])}/test`, key, {})
  const issued = await call('POST', `/v1/sessions/${id}/keys`, key, { scopes: ['send'] })
  canaries.set('issued key', String(issued.body['key']))
  const renewed = await call('POST', `/v1/sessions/${id}/keys/${String(issued.body['id'])}/rotate`, key, {})
  canaries.set('renewed key', String(renewed.body['key']))

  // A session that waits to be paired: its codes may live where they have to, and nowhere else.
  await sandbox.addPhone({ phoneNumber: businesses[1] })
  const waiting = await fleet.admin.createSession({ displayName: 'Waiting' })
  canaries.set('waiting key', waiting.apiKey)
  const qr = await waitFor('a QR code', async () => (await call('GET', '/v1/qr', waiting.apiKey)).body['qr'] as string)
  codes.set('qr', qr)
  codes.set('qr part', qr.split(',')[1] ?? qr)
  const code = await call('POST', '/v1/pairing-code', waiting.apiKey, { phoneNumber: businesses[1] })
  codes.set('pairing code', String(code.body['code']))
  codes.set('bare pairing code', String(code.body['code']).replace('-', ''))

  // A proxy that refuses its password, and is given it again and again.
  canaries.set('proxy login', Buffer.from(`kiosk:${given.proxyPassword}`).toString('base64'))
  const proxyUrl = proxy.url(`kiosk:${given.proxyPassword}`)
  const behind = await call('POST', '/v1/sessions', admin, { displayName: 'Behind', settings: { proxyUrl } })
  canaries.set('key behind', String(behind.body['apiKey']))
  const behindNow = async () => JSON.stringify((await call('GET', `/v1/sessions/${String(behind.body['id'])}`, admin)).body)
  const told407 = await waitFor('the proxy has refused', async () => {
    const now = await behindNow()
    return now.includes('proxy_failed') && now
  })
  problems.push(told407, JSON.stringify((await call('GET', '/v1/events', admin)).body))
  await call('POST', '/v1/sessions', admin, { displayName: 'Wrong', settings: { proxyUrl: `${proxyUrl}/way` } })

  // Words both ways, refused ones, failed ones, later ones.
  await call('POST', '/v1/messages', key, text(words.outbound), { 'idempotency-key': 'order-1' })
  await call('POST', '/v1/messages', key, text(words.refused), { 'idempotency-key': 'order-1' })
  await call('POST', '/v1/messages', key, { ...text(words.failed), to: stranger })
  await call('POST', '/v1/messages', key, { ...text(words.scheduled), sendAt: new Date(Date.now() + 3_600_000).toISOString() })
  await call('POST', '/v1/messages/batch', key, { messages: [text(words.batch), { ...text(words.batch), type: 'image' }] })
  await sandbox.sendFrom(person, { to: businesses[0], text: words.inbound })

  // What is wrong: none of it may come back, or be written down.
  await call('GET', '/v1/sessions', given.wrongKey)
  await call('GET', `/v1/messages?key=${given.queryKey}&api_key=${given.queryKey}`, key)
  await call('POST', '/v1/messages', key, `{"to": "${given.malformed}`)
  await call('POST', '/v1/messages', key, { ...text(words.refused), [given.malformed]: 1 }).then(({ status }) =>
    expect(status).toBe(400),
  )
  await call('POST', '/v1/messages', key, { to: person, type: 'text', text: { body: words.refused.repeat(5_000) } })
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  await call('POST', '/sign-in', '', new URLSearchParams({ key: given.formKey, next: '/' }).toString(), form)
  await call('POST', '/sign-in', '', new URLSearchParams({ key: admin, next: '/' }).toString(), form)

  const told = (type: string, word: string) =>
    [...receiver.events.values()].some(({ type: t, data }) => t === type && data.message?.text?.body === word)
  await waitFor('all of it is through', () =>
    [
      told('message.read', words.outbound),
      told('message.read', words.batch),
      told('message.received', words.inbound),
      told('message.failed', words.failed),
      unwell.received.length > 3,
    ].every(Boolean),
  )

  // Each place while everything runs, and the logs again after workers died and ended.
  const redis = await everythingInRedis()
  expect([...redis.keys()].some((name) => /:session:ses_\w+:(qr|pairing-code)$/.test(name))).toBe(true)
  expect(seenIn(redis, canaries)).toEqual([])
  const elsewhere = new Map([...redis].filter(([name]) => !/:(session:ses_\w+:(qr|pairing-code)|command:\w+)$/.test(name)))
  expect(seenIn(elsewhere, codes)).toEqual([])
  const metrics = await fetch(`${fleet.apiUrl}/metrics`, { headers: { authorization: `Bearer ${admin}` } }).then((r) => r.text())
  expect(metrics).toContain('ujumbe_message_sends_total')
  const shown = new Map([
    ['metrics', metrics],
    ['problems', problems.join('\n')],
  ])
  const numbers = new Map([...businesses, person, stranger].map((number) => [`number …${number.slice(-4)}`, number]))
  const all = new Map([...canaries, ...codes])
  // The name of an unknown field is told: it is where the fault is.
  const answered = new Map([...all].filter(([name]) => name !== 'malformed'))
  expect(seenIn(shown, answered)).toEqual([])
  expect(seenIn(new Map([['metrics', metrics]]), numbers)).toEqual([])

  const [victim] = await fleet.pids('session-worker')
  if (victim) process.kill(victim, 'SIGKILL')
  await fleet.pm2('restart', 'webhook-worker', '--silent')
  await call('POST', '/v1/messages', key, text(words.outbound))
  await waitFor(
    'it goes on',
    async () => (await sandbox.messages(person)).filter(({ text: t }) => t === words.outbound).length === 2,
    30_000,
  )
  const files = await everyFile()
  expect([...files.keys()].filter((name) => name.startsWith('logs/')).length).toBeGreaterThan(3)
  // The search does find what is there.
  const open = new Map([['session id', id]])
  expect(seenIn(files, open).length).toBeGreaterThan(2)
  expect(seenIn(redis, open).length).toBeGreaterThan(3)
  expect([...files.values()].some((content) => content.includes('"level":"debug"'))).toBe(true)
  expect(seenIn(files, all)).toEqual([])
  expect(seenIn(files, numbers)).toEqual([])
  const stored = new Map([['ujumbe.db', await readFile(fleet.config.sqlitePath, 'latin1')]])
  const secrets = new Map([...all].filter(([name]) => !(name in words)))
  expect(seenIn(stored, secrets)).toEqual([])
})
