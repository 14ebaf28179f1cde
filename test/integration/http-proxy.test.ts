// The proxy of a session over HTTP: who may set it, what is refused, and that its password is never answered.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'

const proxyUrl = 'socks5://kiosk:mango-7@127.0.0.1:1080'
const shown = 'socks5://kiosk:***@127.0.0.1:1080'
let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.close())

const edit = (id: string, key: string, value: unknown) =>
  api.call('PATCH', `/v1/sessions/${id}`, { key, json: { settings: { proxyUrl: value } } })

test('its password is in no answer, no event, no log and no row, and the masked address sent back keeps it', async () => {
  const made = await api.call('POST', '/v1/sessions', {
    key: api.adminKey,
    json: { displayName: 'Kiosk', settings: { proxyUrl } },
  })
  expect(made.body.settings.proxyUrl).toBe(shown)
  const { id, apiKey } = made.body
  const sealed = (await api.store.sessions.get(id))?.settings.sealedProxyUrl
  expect(sealed).toEqual(expect.any(String))
  const read = await api.call('GET', `/v1/sessions/${id}`, { key: apiKey })
  const again = await edit(id, api.adminKey, shown)
  const list = await api.call('GET', '/v1/sessions', { key: api.adminKey })
  const events = await api.call('GET', '/v1/events', { key: apiKey })
  expect(events.body.data[0].data.session.settings.proxyUrl).toBe(shown)
  const record = await api.store.sessions.get(id)
  expect(record?.settings.sealedProxyUrl).toBe(sealed)
  const seen = [made, read, again, list, events].map(({ text }) => text).join() + JSON.stringify(record) + api.logged()
  expect(seen).toContain(shown)
  expect(seen).not.toContain('mango')
  expect([made, read, again, list, events].map(({ text }) => text).join()).not.toContain(sealed)
})

test('it is an admin’s to set, change and remove', async () => {
  const { id, key } = await makeSession(api)
  expect((await edit(id, key, proxyUrl)).body).toMatchObject({ status: 403, code: 'admin_only' })
  expect((await edit(id, api.adminKey, proxyUrl)).body.settings.proxyUrl).toBe(shown)
  expect((await edit(id, key, null)).body).toMatchObject({ status: 403, code: 'admin_only' })
  expect((await edit(id, key, shown)).status).toBe(200)
  const other = await api.call('PATCH', `/v1/sessions/${id}`, { key, json: { settings: { markOnline: true } } })
  expect(other.body.settings).toMatchObject({ proxyUrl: shown, markOnline: true })
  expect((await edit(id, api.adminKey, null)).body.settings).not.toHaveProperty('proxyUrl')
  expect((await api.store.sessions.get(id))?.settings).toMatchObject({ proxyUrl: null, sealedProxyUrl: null, markOnline: true })
})

test.each([
  ['http://10.0.0.1:3128', 'url_not_allowed'],
  ['socks5://169.254.169.254:1080', 'url_not_allowed'],
  ['http://127.0.0.1:25', 'url_not_allowed'],
  ['socks4://127.0.0.1:1080', 'invalid_request'],
  ['http://127.0.0.1:3128/way?x=1', 'invalid_request'],
  ['http://', 'invalid_request'],
  [`http://${'a'.repeat(3_000)}`, 'invalid_request'],
  [7, 'invalid_request'],
])('%.40s is refused with 400 %s, at once and later, and nothing is stored', async (value, code) => {
  const { id } = await makeSession(api)
  expect((await edit(id, api.adminKey, value)).body).toMatchObject({ status: 400, code })
  expect((await api.store.sessions.get(id))?.settings.proxyUrl).toBeNull()
  const json = { displayName: 'X', settings: { proxyUrl: value } }
  expect((await api.call('POST', '/v1/sessions', { key: api.adminKey, json })).body).toMatchObject({ status: 400, code })
})
