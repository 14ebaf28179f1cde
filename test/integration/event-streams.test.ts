// Who may hold event streams: no session takes the places of the others, all of them together none of the admins', and a deleted key reads nothing.
import { expect, test } from 'vitest'
import { makeKey, makeSession, startTestApi } from '../support/api.ts'
import { openEvents, type EventReader } from '../support/event-source.ts'
import { waitFor } from '../support/wait.ts'

test('a session has few places, all of them leave some for admins, and admins have those', async () => {
  const api = await startTestApi({
    streams: { maxStreams: 6, maxEach: 2, keptForAdmins: 3, heartbeatMs: 400, drainMs: 700 },
  })
  const readers: EventReader[] = []
  const open = async (key: string, path = '/v1/events/stream') => {
    const reader = await openEvents(`${api.url}${path}`, { authorization: `Bearer ${key}` })
    readers.push(reader)
    return reader.status
  }
  const [one, two] = [await makeSession(api), await makeSession(api)]
  expect([await open(one.key), await open(one.key), await open(one.key)]).toEqual([200, 200, 429])
  expect([await open(two.key), await open(two.key)]).toEqual([200, 429])
  const ofOne = `/v1/sessions/${one.id}/events/stream`
  expect([await open(api.adminKey), await open(api.adminKey, ofOne), await open(api.adminKey)]).toEqual([200, 200, 200])
  expect(await open(api.adminKey)).toBe(429)
  for (const reader of readers) reader.close()
  await api.close()
})

test('a key that was deleted is told nothing more, however long until the next heartbeat', async () => {
  const api = await startTestApi({
    streams: { maxStreams: 6, maxEach: 2, keptForAdmins: 3, heartbeatMs: 600_000, drainMs: 700 },
  })
  const session = await makeSession(api)
  const key = await makeKey(api, session, ['read'])
  const stream = await openEvents(`${api.url}/v1/events/stream`, { authorization: `Bearer ${key}` })
  const { body } = await api.call('GET', `/v1/sessions/${session.id}/keys`, { key: api.adminKey })
  const { id } = body.data.find((each: { scopes: string[] }) => each.scopes.length === 1)
  await api.call('DELETE', `/v1/sessions/${session.id}/keys/${id}`, { key: api.adminKey })
  await waitFor('it has ended', async () => {
    const json = { to: '254712345678', type: 'text', text: { body: 'x' } }
    expect((await api.call('POST', '/v1/messages', { key: session.key, json })).status).toBe(202)
    return stream.isClosed
  })
  await api.close()
})
