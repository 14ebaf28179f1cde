// Raising a session's epoch from a known one: the store's half of a claim.
import { expect, test } from 'vitest'
import { describeStores } from '../support/store-kinds.ts'
import { createHeldSession } from '../support/store.ts'

describeStores('epoch raised from a known one', (t) => {
  test('succeeds only while the stored one is still that', async () => {
    const id = await createHeldSession(t.store, 3)
    expect(await t.store.sessions.raiseEpoch(id, 5, 2)).toBe(false)
    expect(await t.store.sessions.raiseEpoch(id, 5, 4)).toBe(false)
    expect(await t.store.sessions.raiseEpoch(id, 5, 3)).toBe(true)
    expect(await t.store.sessions.raiseEpoch(id, 6, 3)).toBe(false)
    expect((await t.store.sessions.get(id))?.epoch).toBe(5)
  })

  test('of two claims that saw the same epoch the one with the higher number cannot come second', async () => {
    const id = await createHeldSession(t.store, 1)
    expect(await t.store.sessions.raiseEpoch(id, 2, 1)).toBe(true)
    expect(await t.store.sessions.raiseEpoch(id, 3, 1)).toBe(false)
  })
})
