// Sessions: create, edit, what the user asks for, the epoch that fences, claiming, deletion.
import { expect, test } from 'vitest'
import { newEndpoint, newInbound, newKey, newMessage, newSession, tells, tellsNothing } from '../support/records.ts'
import { createHeldSession } from '../support/store.ts'
import { describeStores } from '../support/store-kinds.ts'

describeStores('sessions', (t) => {
  test('a session is created whole, with its key, its endpoint and the first event already on its way', async () => {
    const input = newSession({ metadata: { city: 'Kisumu' }, restriction: { reason: 'r', until: 5 } }, { events: ['*'] })
    const { record, published } = await t.store.sessions.create(input, tells('session.status'))
    expect(record).toEqual(input.session)
    expect(await t.store.sessions.get(record.id)).toEqual(input.session)
    expect(await t.store.keys.findByHash(input.key.hash)).toEqual(input.key)
    expect(await t.store.endpoints.get(input.endpoint?.id ?? '')).toEqual(input.endpoint)
    expect(published).toMatchObject([{ event: { sequence: 1 }, deliveries: [{ endpointId: input.endpoint?.id }] }])
  })

  test('when describing fails nothing is created', async () => {
    const input = newSession({}, {})
    const fails = t.store.sessions.create(input, () => {
      throw new Error('cannot describe')
    })
    await expect(fails).rejects.toThrow('cannot describe')
    expect(await t.store.sessions.get(input.session.id)).toBeNull()
    expect(await t.store.keys.findByHash(input.key.hash)).toBeNull()
    expect(await t.store.endpoints.get(input.endpoint?.id ?? '')).toBeNull()
    expect(await t.store.events.list({ limit: 10 })).toEqual([])
  })

  test('the same id cannot be created twice', async () => {
    const input = newSession()
    await t.store.sessions.create(input, tellsNothing)
    const again = t.store.sessions.create({ ...input, key: newKey(input.session.id) }, tellsNothing)
    await expect(again).rejects.toMatchObject({ code: 'conflict' })
  })

  test('lists are newest first, paged without gap or repeat, filtered, and leave deleted ones out', async () => {
    const inputs = Array.from({ length: 7 }, (_, i) =>
      newSession({
        createdAt: 1_000 + Math.floor(i / 2),
        displayName: i % 2 ? `Shop 100%_${i}` : `Clinic ${i}`,
        status: i % 2 ? 'connected' : 'pairing',
        phoneNumber: `25470000000${i}`,
      }),
    )
    for (const input of inputs) await t.store.sessions.create(input, tellsNothing)
    await t.store.sessions.request(inputs[3]?.session.id ?? '', 'delete', 5)
    const expected = inputs
      .filter((_, i) => i !== 3)
      .map(({ session }) => session)
      .toSorted((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1))
    const ids: string[] = []
    let cursor: string | null | undefined
    do {
      const page = await t.store.sessions.list({ limit: 2, ...(cursor ? { cursor } : {}) })
      ids.push(...page.data.map(({ id }) => id))
      cursor = page.nextCursor
    } while (cursor)
    expect(ids).toEqual(expected.map(({ id }) => id))
    const found = async (query: { status?: 'connected'; search?: string }) =>
      (await t.store.sessions.list({ limit: 10, ...query })).data.map(({ displayName }) => displayName).toSorted()
    expect(await found({ status: 'connected' })).toEqual(['Shop 100%_1', 'Shop 100%_5'])
    expect(await found({ search: 'clinic' })).toHaveLength(4)
    expect(await found({ search: '0%_' })).toEqual(['Shop 100%_1', 'Shop 100%_5'])
    expect(await found({ search: '254700000002' })).toEqual(['Clinic 2'])
    expect(await found({ search: '.*' })).toEqual([])
    expect(await t.store.sessions.countByStatus()).toMatchObject({ pairing: 4, connected: 2, logged_out: 0 })
    await expect(t.store.sessions.list({ limit: 2, cursor: 'nonsense' })).rejects.toMatchObject({ code: 'invalid_request' })
  })

  test('sealed proxies are listed in pages, deleted sessions too, and sealed anew only while nobody has changed them', async () => {
    const sealed = (sealedProxyUrl: string) => ({ ...newSession().session.settings, proxyUrl: 'http://p', sealedProxyUrl })
    const inputs = [
      ...['a', 'b', 'c'].map((text) => newSession({ settings: sealed(text) })),
      newSession({ settings: { ...sealed('d'), proxyUrl: null, sealedProxyUrl: null } }),
      newSession(),
    ]
    for (const input of inputs) await t.store.sessions.create(input, tellsNothing)
    const ids = inputs.map(({ session }) => session.id)
    await t.store.sessions.request(ids[1] ?? '', 'delete', 5)
    const expected = ['a', 'b', 'c'].map((sealedProxyUrl, i) => ({ id: ids[i] ?? '', sealedProxyUrl }))
    const sorted = expected.toSorted((x, y) => (x.id < y.id ? -1 : 1))
    const first = await t.store.sessions.listSealedProxies({ afterId: '', limit: 2 })
    expect(first).toEqual(sorted.slice(0, 2))
    const rest = await t.store.sessions.listSealedProxies({ afterId: first[1]?.id ?? '', limit: 2 })
    expect(rest).toEqual(sorted.slice(2))
    expect(await t.store.sessions.resealProxy(ids[0] ?? '', 'other', 'new')).toBe(false)
    expect(await t.store.sessions.resealProxy(ids[0] ?? '', 'a', 'new')).toBe(true)
    const settings = { ...inputs[0]?.session.settings, sealedProxyUrl: 'new' }
    expect((await t.store.sessions.get(ids[0] ?? ''))?.settings).toEqual(settings)
    expect((await t.store.sessions.get(ids[2] ?? ''))?.settings).toEqual(inputs[2]?.session.settings)
  })

  test('edit changes what it names and nothing else', async () => {
    const { session } = newSession()
    await t.store.sessions.create({ session, key: newKey(session.id), endpoint: null }, tellsNothing)
    const edited = await t.store.sessions.edit(session.id, { displayName: 'Other', settings: { burst: 3 } })
    expect(edited).toEqual({
      ...session,
      displayName: 'Other',
      settings: { ...session.settings, burst: 3 },
      updatedAt: expect.any(Number),
    })
    expect(await t.store.sessions.get(session.id)).toEqual(edited)
    expect(await t.store.sessions.edit('ses_none', { displayName: 'x' })).toBeNull()
  })

  test('settings that are edited at the same moment all stand, also beside a proxy that is sealed anew', async () => {
    const { session } = newSession()
    const settings = { ...session.settings, proxyUrl: 'http://127.0.0.1:3128', sealedProxyUrl: 'old' }
    await t.store.sessions.create({ session: { ...session, settings }, key: newKey(session.id), endpoint: null }, tellsNothing)
    await Promise.all([
      t.store.sessions.edit(session.id, { settings: { burst: 3 } }),
      t.store.sessions.edit(session.id, { settings: { messagesPerMinute: null } }),
      t.store.sessions.resealProxy(session.id, 'old', 'new'),
      t.store.sessions.edit(session.id, { settings: { typing: true } }),
    ])
    const wanted = { ...settings, burst: 3, messagesPerMinute: null, typing: true, sealedProxyUrl: 'new' }
    expect((await t.store.sessions.get(session.id))?.settings).toEqual(wanted)
  })

  test('each request raises the revision; an answer to an older one settles nothing', async () => {
    const id = await createHeldSession(t.store)
    expect(await t.store.sessions.settle(id, 1, 1, { status: 'connected' }, tellsNothing)).toMatchObject({
      record: { claimable: false, status: 'connected' },
    })
    const asked = await t.store.sessions.request(id, 'disconnect', 50)
    expect(asked).toMatchObject({ intent: 'disconnect', intentRevision: 2, claimable: true, deletedAt: null })
    expect(await t.store.sessions.settle(id, 1, 1, { status: 'disconnected' }, tells('session.status'))).toBeNull()
    expect(await t.store.sessions.get(id)).toMatchObject({ claimable: true, status: 'connected' })
    expect(await t.store.sessions.request('ses_none', 'connect', 1)).toBeNull()
  })

  test('whoever settles as logged out has no credentials; every other end keeps them, and so does what settles nothing', async () => {
    const dataKey = { masterKeyId: 'm', wrapped: Uint8Array.of(9) }
    const paired = async () => {
      const id = await createHeldSession(t.store)
      await t.store.credentials.write(id, 1, [{ type: 'creds', id: '', value: Uint8Array.of(1) }], dataKey)
      return id
    }
    const isErased = async (id: string) => {
      const entries = (await t.store.credentials.read(id, 'creds', [''])).size
      return [entries, await t.store.credentials.readDataKey(id)]
    }
    const [given, other, closed] = [await paired(), await paired(), await paired()]
    expect(await t.store.sessions.settle(given, 1, 0, { status: 'logged_out' }, tellsNothing)).toBeNull()
    const fails = t.store.sessions.settle(given, 1, 1, { status: 'logged_out' }, () => {
      throw new Error('cannot describe')
    })
    await expect(fails).rejects.toThrow('cannot describe')
    expect(await isErased(given)).toEqual([1, dataKey])
    expect(await t.store.sessions.settle(given, 1, 1, { status: 'logged_out' }, tellsNothing)).not.toBeNull()
    expect(await isErased(given)).toEqual([0, null])
    expect(await t.store.sessions.settle(closed, 1, 1, { status: 'disconnected' }, tellsNothing)).not.toBeNull()
    for (const id of [other, closed]) expect(await isErased(id)).toEqual([1, dataKey])
  })

  test('a deletion is a mark: keys stop at once, nobody edits or asks again, the holder still finds it', async () => {
    const input = newSession()
    await t.store.sessions.create(input, tellsNothing)
    const { id } = input.session
    expect(await t.store.sessions.request(id, 'delete', 77)).toMatchObject({ intent: 'delete', deletedAt: 77, claimable: true })
    expect(await t.store.keys.findByHash(input.key.hash)).toBeNull()
    expect(await t.store.sessions.edit(id, { displayName: 'x' })).toBeNull()
    expect(await t.store.sessions.request(id, 'connect', 78)).toBeNull()
    expect(await t.store.sessions.setHealth(id, { score: 1, level: 'critical', reason: null, at: 1 }, tellsNothing)).toBeNull()
    expect(await t.store.events.append(id, [{ type: 'session.qr', data: {} }])).toEqual([])
    expect((await t.store.sessions.get(id))?.deletedAt).toBe(77)
    expect((await t.store.sessions.listClaimable({ limit: 10 })).map((each) => each.id)).toEqual([id])
    await t.store.sessions.raiseEpoch(id, 1)
    expect(await t.store.sessions.update(id, 1, { status: 'disconnected' }, tells('session.status'))).toMatchObject({
      record: { status: 'disconnected' },
    })
  })

  test('claimable sessions come in id order, page by page', async () => {
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.push(await createHeldSession(t.store))
    await t.store.sessions.settle(ids[2] ?? '', 1, 1, {}, tellsNothing)
    const expected = ids.toSpliced(2, 1).toSorted()
    const first = await t.store.sessions.listClaimable({ limit: 3 })
    expect(first[0]).toEqual({ id: expected[0], epoch: 1, intent: 'connect', status: 'pending', lastEventAt: null })
    const second = await t.store.sessions.listClaimable({ limit: 3, afterId: first[2]?.id ?? '' })
    expect([...first, ...second].map(({ id }) => id)).toEqual(expected)
  })

  test('the epoch only rises, and every write of an older holder is refused', async () => {
    const id = await createHeldSession(t.store, 3)
    expect(await t.store.sessions.raiseEpoch(id, 3)).toBe(false)
    expect(await t.store.sessions.raiseEpoch(id, 2)).toBe(false)
    expect(await t.store.sessions.raiseEpoch(id, 5)).toBe(true)
    expect(await t.store.sessions.raiseEpoch('ses_none', 9)).toBe(false)
    const stale = { code: 'stale_epoch' }
    await expect(t.store.sessions.update(id, 3, { status: 'connected' }, tellsNothing)).rejects.toMatchObject(stale)
    await expect(t.store.sessions.settle(id, 4, 1, {}, tellsNothing)).rejects.toMatchObject(stale)
    await expect(t.store.sessions.remove(id, 6)).rejects.toMatchObject(stale)
    await expect(t.store.sessions.update('ses_none', 5, {}, tellsNothing)).rejects.toMatchObject(stale)
    const { record, published } = await t.store.sessions.update(id, 5, { status: 'connected' }, tells('session.status'))
    expect(record).toMatchObject({ status: 'connected', epoch: 5 })
    expect(published).toMatchObject([{ event: { type: 'session.status', data: { message: { status: 'connected' } } } }])
  })

  test('of many that raise the epoch to the same number at once one succeeds', async () => {
    const id = await createHeldSession(t.store)
    const other = await t.another()
    const raised = await Promise.all([t.store, other, t.store, other].map((store) => store.sessions.raiseEpoch(id, 2)))
    expect(raised.filter(Boolean)).toHaveLength(1)
  })

  test('removal takes everything of the session but what it told, and nothing of another', async () => {
    const kept = newSession({}, {})
    await t.store.sessions.create(kept, tells('session.status'))
    const gone = newSession({}, {})
    const { id } = gone.session
    await t.store.sessions.create(gone, tells('session.status'))
    await t.store.sessions.raiseEpoch(id, 1)
    await t.store.credentials.write(id, 1, [{ type: 'creds', id: '', value: Uint8Array.of(1) }], {
      masterKeyId: 'm',
      wrapped: Uint8Array.of(9),
    })
    for (const session of [id, kept.session.id]) {
      const message = newMessage(session)
      await t.store.messages.accept(
        { message, idempotency: { key: 'k', bodyHash: 'b', expiresAt: 9e12 }, maxQueueDepth: 10, now: 1 },
        tells('message.queued'),
      )
      await t.store.messages.storeInbound(newInbound(session, 'ABC'), tells('message.received'))
      await t.store.health.append([
        { sessionId: session, at: 1, score: 90, level: 'healthy', reasons: [], signals: {}, actions: [] },
      ])
    }
    await t.store.sessions.remove(id, 1)
    expect(await t.store.sessions.get(id)).toBeNull()
    expect(await t.store.keys.findByHash(gone.key.hash)).toBeNull()
    expect(await t.store.credentials.readDataKey(id)).toBeNull()
    expect((await t.store.credentials.read(id, 'creds', [''])).size).toBe(0)
    expect((await t.store.messages.list({ sessionId: id, limit: 10 })).data).toEqual([])
    expect(await t.store.messages.queueState(id)).toEqual({ depth: 0, scheduled: 0, oldestQueuedAt: null })
    expect(await t.store.endpoints.get(gone.endpoint?.id ?? '')).toBeNull()
    expect(await t.store.health.latest(id)).toBeNull()
    expect((await t.store.deliveries.list({ endpointId: gone.endpoint?.id ?? '', limit: 10 })).data).toEqual([])
    expect((await t.store.messages.list({ sessionId: kept.session.id, limit: 10 })).data).toHaveLength(2)
    expect(await t.store.events.list({ sessionId: kept.session.id, limit: 10 })).toHaveLength(3)
    expect((await t.store.deliveries.list({ endpointId: kept.endpoint?.id ?? '', limit: 10 })).data).toHaveLength(3)
    await expect(t.store.sessions.remove(id, 1)).rejects.toMatchObject({ code: 'stale_epoch' })
  })

  test('health is shown on the session and told once it is written', async () => {
    const id = await createHeldSession(t.store)
    await t.store.endpoints.create(newEndpoint({ sessionId: id }))
    const health = { score: 61, level: 'recovering', reason: { code: 'reconnects', points: 39, text: 'Often.' }, at: 1_000 }
    const outcome = await t.store.sessions.setHealth(id, health, tells('session.health'))
    expect(outcome?.published).toMatchObject([{ event: { type: 'session.health' }, deliveries: [expect.anything()] }])
    expect((await t.store.sessions.get(id))?.health).toEqual(health)
  })

  test('keys are found by hash, listed, rotated and removed, each only under its own session', async () => {
    const [a, b] = [await createHeldSession(t.store), await createHeldSession(t.store)]
    const keys = [1, 2, 3].map((i) => newKey(a, { createdAt: i, expiresAt: i, scopes: ['read', 'manage'] }))
    for (const key of keys) await t.store.keys.create(key)
    const [key] = keys
    if (!key) throw new Error('no key')
    await expect(t.store.keys.create(newKey(b, { hash: key.hash }))).rejects.toMatchObject({ code: 'conflict' })
    expect(await t.store.keys.findByHash(key.hash)).toEqual(key)
    expect(await t.store.keys.rotate(b, key.id, { hash: 'new', prefix: 'p' })).toBeNull()
    expect(await t.store.keys.remove(b, key.id)).toBe(false)
    expect(await t.store.keys.rotate(a, key.id, { hash: 'new', prefix: 'p' })).toEqual({ ...key, hash: 'new', prefix: 'p' })
    expect(await t.store.keys.findByHash(key.hash)).toBeNull()
    const page = await t.store.keys.list({ sessionId: a, limit: 3 })
    const rest = await t.store.keys.list({ sessionId: a, limit: 3, cursor: page.nextCursor ?? '' })
    expect([...page.data, ...rest.data].map(({ id }) => id).slice(1)).toEqual(keys.map(({ id }) => id).toReversed())
    expect(rest.nextCursor).toBeNull()
    expect(await t.store.keys.remove(a, key.id)).toBe(true)
    expect(await t.store.keys.remove(a, key.id)).toBe(false)
    expect(await t.store.keys.findByHash('new')).toBeNull()
  })
})
