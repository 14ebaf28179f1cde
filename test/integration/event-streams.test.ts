// Who may hold event streams: no session takes the places of the others, all of them together none of the admins', and a deleted key reads nothing.
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { streamEvents } from '../../src/http/stream-events.ts'
import { EventStream } from '../../src/webhooks/event-streams.ts'
import { makeKey, makeSession, startTestApi } from '../support/api.ts'
import { openEvents, type EventReader } from '../support/event-source.ts'
import { createHeldSession, openTestSqlite } from '../support/store.ts'
import { waitFor } from '../support/wait.ts'
import { silentLog } from '../support/webhooks.ts'

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

test('an event that a slow line takes longer for than a dead one is given comes whole', async () => {
  const opened = await openTestSqlite()
  const sessionId = await createHeldSession(opened.store)
  await opened.store.events.append(sessionId, [{ type: 'message.sent', data: { text: 'x'.repeat(300_000) } }])
  let taken = ''
  const line = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _, done) => {
      const tookIt = () => {
        taken += chunk.toString()
        done()
      }
      setTimeout(tookIt, chunk.length / 200) // milliseconds: 200 kB a second
    },
  })
  const res = new ServerResponse(new IncomingMessage(new Socket()))
  res.assignSocket(line as Socket)
  const gone = new AbortController()
  const settings = { maxStreams: 1, maxEach: 1, keptForAdmins: 0, heartbeatMs: 60_000, drainMs: 500 }
  const deps = { events: opened.store.events, settings, log: silentLog, check: async () => undefined }
  const input = { sessionId, place: '0', types: null, signal: gone.signal }
  const streaming = streamEvents(deps, input, new EventStream(() => undefined, false), res)
  await waitFor('it has come whole', () => taken.split('\r\n').join('').includes('x"}}') || res.destroyed)
  expect(res.destroyed).toBe(false)
  gone.abort()
  await streaming
  await opened.close()
})

test('a stream that ends while its line takes nothing is over at once', async () => {
  const opened = await openTestSqlite()
  const sessionId = await createHeldSession(opened.store)
  await opened.store.events.append(sessionId, [{ type: 'message.sent', data: { text: 'x'.repeat(300_000) } }])
  const res = new ServerResponse(new IncomingMessage(new Socket()))
  res.assignSocket(new Duplex({ read: () => undefined, write: () => undefined }) as Socket)
  const gone = new AbortController()
  const events = {
    read: async (query: Parameters<typeof opened.store.events.read>[0]) => {
      gone.abort()
      return opened.store.events.read(query)
    },
  }
  const settings = { maxStreams: 1, maxEach: 1, keptForAdmins: 0, heartbeatMs: 60_000, drainMs: 60_000 }
  const deps = { events, settings, log: silentLog, check: async () => undefined }
  const input = { sessionId, place: '0', types: null, signal: gone.signal }
  await streamEvents(deps, input, new EventStream(() => undefined, false), res)
  expect(res.destroyed).toBe(true)
  await opened.close()
})
