// Many that fail at once are the network: some probe, the others wait and follow.
import { afterEach, expect, test } from 'vitest'
import { NetworkOutage } from '../../src/fleet/network-outage.ts'
import { pino } from 'pino'

const log = pino({ level: 'silent' })
const never = new AbortController().signal
const opened: NetworkOutage[] = []
afterEach(() => opened.splice(0).forEach((outage) => outage.close()))

function outageOf(heldCount: number): NetworkOutage {
  const outage = new NetworkOutage({ heldCount: () => heldCount, log })
  opened.push(outage)
  return outage
}

test('a few of many, or one that fails again and again, are their own trouble', () => {
  const outage = outageOf(100)
  for (let i = 0; i < 29; i++) outage.failed(`ses_${i}`)
  for (let i = 0; i < 50; i++) outage.failed('ses_0')
  expect(outage.isOn).toBe(false)
  outage.failed('ses_29')
  expect(outage.isOn).toBe(true)
})

test('a success between failures says that the network is there', () => {
  const outage = outageOf(6)
  outage.failed('a')
  outage.failed('b')
  outage.succeeded()
  outage.failed('c')
  expect(outage.isOn).toBe(false)
})

test('without an outage the delay decides', async () => {
  expect(await outageOf(10).turn(5, never)).toBe('retry')
})

test('while it lasts some are sent to probe, long before their own delay; the first success lets all others follow', async () => {
  const outage = outageOf(5)
  const turns = ['a', 'b', 'c', 'd', 'e'].map(async (id) => {
    outage.failed(id)
    return outage.turn(60_000, never)
  })
  expect(outage.isOn).toBe(true)
  expect(await Promise.race(turns)).toBe('probe')
  outage.succeeded()
  const all = await Promise.all(turns)
  expect(all.filter((turn) => turn === 'follow').length).toBeGreaterThanOrEqual(3)
  expect(outage.isOn).toBe(false)
})

test('one that waited already when the outage was noticed follows too', async () => {
  const outage = outageOf(3)
  const early = outage.turn(60_000, never)
  for (const id of ['a', 'b', 'c']) outage.failed(id)
  outage.succeeded()
  expect(await early).toBe('follow')
})

test('what is aborted waits no longer', async () => {
  const outage = outageOf(3)
  for (const id of ['a', 'b', 'c']) outage.failed(id)
  const abort = new AbortController()
  const turn = outage.turn(60_000, abort.signal)
  abort.abort()
  expect(await turn).toBe('retry')
  expect(await outage.turn(60_000, abort.signal)).toBe('retry')
})

test('another worker that got through makes one of ours try now; only our own success lets the others follow', async () => {
  let told = 0
  const outage = new NetworkOutage({ heldCount: () => 5, onReturned: () => (told += 1), log })
  opened.push(outage)
  const results: string[] = []
  const turns = ['a', 'b', 'c', 'd', 'e'].map(async (id) => {
    outage.failed(id)
    results.push(await outage.turn(60_000, never))
  })
  outage.heardOfReturn()
  await Promise.race(turns)
  expect(results).toEqual(['probe'])
  expect([outage.isOn, told]).toEqual([true, 0])
  outage.succeeded()
  await Promise.all(turns)
  expect(results.filter((turn) => turn === 'follow')).toHaveLength(4)
  expect([outage.isOn, told]).toEqual([false, 1])
  outage.heardOfReturn()
  expect(outage.isOn).toBe(false)
})
