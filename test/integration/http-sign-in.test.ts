// Signing in and out with the admin key: what the cookie opens, from where, for how long, and how many guesses there are.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SignedOut } from '../../src/http/signed-out.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { startTestApi, type TestApi } from '../support/api.ts'
import { startTestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'
import { silentLog } from '../support/webhooks.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.close())

const form = (fields: Record<string, string>) => ({
  raw: new URLSearchParams(fields).toString(),
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
})

async function signIn(): Promise<string> {
  const answer = await api.call('POST', '/sign-in', form({ key: api.adminKey, next: '/queues' }))
  expect(answer.status).toBe(303)
  return answer.headers['set-cookie']?.[0]?.split(';', 1)[0] ?? ''
}

test('sets a strict cookie that opens what an admin may see', async () => {
  const answer = await api.call('POST', '/sign-in', form({ key: api.adminKey, next: '/queues' }))
  expect(answer).toMatchObject({ status: 303, headers: { location: '/queues' } })
  const [cookie = ''] = answer.headers['set-cookie'] ?? []
  expect(cookie).toMatch(/; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/)
  expect(cookie).not.toContain(api.adminKey)
  const headers = { cookie: cookie.split(';', 1)[0] ?? '' }
  expect((await api.call('GET', '/v1/sessions', { headers })).status).toBe(200)
  expect((await api.call('GET', '/metrics', { headers })).status).toBe(200)
  const behindTls = { ...form({ key: api.adminKey }).headers, 'x-forwarded-proto': 'https' }
  const secure = await api.call('POST', '/sign-in', { ...form({ key: api.adminKey }), headers: behindTls })
  expect(secure.headers['set-cookie']?.[0]).toContain('Secure')
})

test('a cookie changes things only from our own pages', async () => {
  const cookie = await signIn()
  const create = (headers: Record<string, string>) =>
    api.call('POST', '/v1/sessions', { headers: { cookie, ...headers }, json: { displayName: 'By cookie' } })
  const host = `127.0.0.1:${api.port}`
  const foreign: Record<string, string>[] = [
    {},
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
    { origin: 'null' },
    { origin: 'http://evil.example' },
    { origin: `http://127.0.0.1:${api.port + 1}` },
    { origin: `http://${host}`, 'sec-fetch-site': 'cross-site' },
  ]
  for (const headers of foreign) {
    expect((await create(headers)).body, JSON.stringify(headers)).toMatchObject({ status: 403, code: 'cross_origin' })
  }
  expect((await create({ 'sec-fetch-site': 'same-origin', origin: 'null' })).status).toBe(201)
  expect((await create({ origin: `http://${host}` })).status).toBe(201)
})

test('forged, changed and expired cookies open nothing', async () => {
  const cookie = await signIn()
  const value = cookie.slice(cookie.indexOf('=') + 1)
  const [expires = '', nonce = '', signature = ''] = value.split('.')
  for (const forged of [
    `${Number(expires) + 1}.${nonce}.${signature}`,
    `${expires}.x${nonce}.${signature}`,
    `${expires}.${nonce}.`,
    `.${signature}`,
    '',
    '..',
    'a'.repeat(4_000),
  ]) {
    expect((await api.call('GET', '/v1/sessions', { headers: { cookie: `ujumbe_session=${forged}` } })).status).toBe(401)
  }
})

test('signing out takes the cookie away, and not from elsewhere', async () => {
  const answer = await api.call('POST', '/sign-out')
  expect(answer.headers['set-cookie']?.[0]).toContain('Max-Age=0')
  expect((await api.call('POST', '/sign-out', { headers: { origin: 'http://evil.example' } })).status).toBe(403)
  const elsewhere = { ...form({ key: api.adminKey }), headers: { ...form({}).headers, origin: 'http://evil.example' } }
  expect((await api.call('POST', '/sign-in', elsewhere)).body.code).toBe('cross_origin')
})

test('signing out ends that sign-in, for a copy of its cookie too, and no other', async () => {
  const [cookie, other] = [await signIn(), await signIn()]
  const [signedIn, stays] = [{ headers: { cookie } }, { headers: { cookie: other } }]
  expect((await api.call('GET', '/v1/sessions', signedIn)).status).toBe(200)
  const host = `http://127.0.0.1:${api.port}`
  expect((await api.call('POST', '/sign-out', { headers: { cookie, origin: host } })).status).toBe(303)
  for (const path of ['/v1/sessions', '/metrics', '/queues/api/queues'])
    expect((await api.call('GET', path, signedIn)).status, path).toBe(401)
  expect((await api.call('GET', '/v1/sessions', stays)).status).toBe(200)
  expect((await api.call('GET', '/v1/sessions', { ...signedIn, key: api.adminKey })).status).toBe(200)
})

test('another API process knows of it within a second, and shuts nobody out while Redis is away', async () => {
  const redis = await startTestRedis()
  const connection = connectRedis(redis.target, 'producer', silentLog)
  await waitFor('Redis is connected', () => connection.status === 'ready')
  const [here, there] = [1, 2].map(() => new SignedOut({ redis: connection, prefix: 'uj', log: silentLog }))
  const ended = { nonce: 'ended', expiresAt: Date.now() + 60_000 }
  expect([await here?.has(ended), await there?.has(ended)]).toEqual([false, false])
  await here?.add(ended)
  expect(await here?.has(ended)).toBe(true)
  await waitFor('the other knows', async () => (await there?.has(ended)) === true, 5_000)
  expect(await connection.pttl('uj:signed-out:ended')).toBeGreaterThan(0)
  await redis.stop()
  await here?.add({ ...ended, nonce: 'meanwhile' })
  expect([await here?.has({ ...ended, nonce: 'meanwhile' }), await there?.has({ ...ended, nonce: 'new' })]).toEqual([true, false])
  await closeRedis(connection)
  await redis.close()
})

test('leads nowhere but to pages of ours', async () => {
  for (const next of ['https://evil.example', '//evil.example', '/queues/../x', 'javascript:alert(1)']) {
    const answer = await api.call('POST', '/sign-in', form({ key: api.adminKey, next }))
    expect(answer.headers.location, next).toBe('/')
    const page = await api.call('GET', `/sign-in?next=${encodeURIComponent(next)}`)
    expect(page.text, next).not.toContain(next)
  }
})

test('a wrong key is a problem for programs, the form again for people, and guesses are bounded', async () => {
  const wrong = form({ key: 'uj_admin_wrong' })
  expect((await api.call('POST', '/sign-in', wrong)).body.code).toBe('unauthorized')
  const browser = { ...wrong, headers: { ...wrong.headers, accept: 'text/html' } }
  const back = await api.call('POST', '/sign-in', browser)
  expect(back).toMatchObject({ status: 303, headers: { location: '/sign-in?next=%2F&fault=wrong' } })
  expect((await api.call('GET', back.headers.location ?? '')).text).toContain('role="alert"')
  for (let n = 0; n < 8; n++) await api.call('POST', '/sign-in', wrong)
  const limited = await api.call('POST', '/sign-in', form({ key: api.adminKey }))
  expect(limited.body).toMatchObject({ status: 429, code: 'too_many_requests' })
  expect(limited.headers['retry-after']).toBeDefined()
})

test('behind a proxy on this machine each client has a limit of its own, whatever it claims to be', async () => {
  const from = (forwarded: string, key = 'uj_admin_wrong') => {
    const { raw, headers } = form({ key })
    return api.call('POST', '/sign-in', { raw, headers: { ...headers, 'x-forwarded-for': forwarded } })
  }
  for (let n = 0; n < 10; n++) expect((await from(`198.51.100.${n}, 203.0.113.5`)).status).toBe(401)
  expect((await from('203.0.113.6, 203.0.113.5', api.adminKey)).status).toBe(429)
  expect((await from('203.0.113.5, 203.0.113.6', api.adminKey)).status).toBe(303)
})
