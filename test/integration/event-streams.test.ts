// Places for event streams: no session takes those of the others, and all of them together none of the admins'.
import { expect, test } from 'vitest'
import { makeSession, startTestApi } from '../support/api.ts'
import { openEvents, type EventReader } from '../support/event-source.ts'

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
