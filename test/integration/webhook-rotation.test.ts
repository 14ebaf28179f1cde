// How long the former secrets of an endpoint go on signing: each for a day after its own retirement, and not many of them.
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { KeyRing } from '../../src/store/key-ring.ts'
import { createEndpoint, rotateSecret, type NewEndpoint } from '../../src/webhooks/create-endpoint.ts'
import { openSecrets } from '../../src/webhooks/endpoint-secrets.ts'
import { resealPage } from '../../src/webhooks/reseal-endpoints.ts'
import { secretContext } from '../../src/webhooks/secret-box.ts'
import { openTestSqlite, type TestSqlite } from '../support/store.ts'
import { loopbackAllowed, silentLog } from '../support/webhooks.ts'

const hour = 3_600_000
const began = Date.UTC(2026, 10, 20)
const masterKey = randomBytes(32)
const secretBox = new KeyRing([masterKey], silentLog)
let opened: TestSqlite
let made: NewEndpoint

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: began })
  opened = await openTestSqlite()
  made = await createEndpoint(deps(), { sessionId: null, url: 'http://127.0.0.1:9000/', events: ['*'] })
})
afterEach(async () => {
  vi.useRealTimers()
  await opened.close()
})

const deps = () => ({ endpoints: opened.store.endpoints, secretBox, guardPolicy: loopbackAllowed })
const at = (hours: number) => vi.setSystemTime(began + hours * hour)
const rotate = async () => (await rotateSecret(deps(), made.endpoint.id)).secret
const signing = async (box = secretBox) => {
  const record = await opened.store.endpoints.get(made.endpoint.id)
  if (!record) throw new Error('the endpoint is gone')
  return openSecrets(box, record, Date.now())
}

test('a retired secret signs for a day, however often those after it are rotated', async () => {
  const second = await rotate()
  at(23)
  expect(await signing()).toEqual([second, made.secret])
  const third = await rotate()
  expect(await signing()).toEqual([third, second, made.secret])
  at(24)
  expect(await signing()).toEqual([third, second])
  at(46)
  const fourth = await rotate()
  expect(await signing()).toEqual([fourth, third, second])
  at(47)
  expect(await signing()).toEqual([fourth, third])
  at(70)
  expect(await signing()).toEqual([fourth])
})

test('of many that were retired in a day the newest three sign', async () => {
  const all = [made.secret]
  for (let n = 0; n < 6; n += 1) all.unshift(await rotate())
  expect(await signing()).toEqual(all.slice(0, 4))
})

test('those that an older version has sealed end together, and each by itself from the next rotation on', async () => {
  const { id } = made.endpoint
  const sealed = secretBox.seal(secretContext(id, 'secret'), Buffer.from('whsec_b\nwhsec_c'))
  await opened.store.endpoints.update(id, { sealedPreviousSecret: sealed, previousSecretUntil: began + 5 * hour })
  expect(await signing()).toEqual([made.secret, 'whsec_b', 'whsec_c'])
  at(4)
  const next = await rotate()
  expect(await signing()).toEqual([next, made.secret, 'whsec_b', 'whsec_c'])
  at(5)
  expect(await signing()).toEqual([next, made.secret])
})

test('their ends are kept when the master key is rotated', async () => {
  const second = await rotate()
  at(20)
  const third = await rotate()
  const keyRing = new KeyRing([randomBytes(32), masterKey], silentLog)
  expect(await resealPage({ endpoints: opened.store.endpoints, keyRing }, 9, null)).toMatchObject({ resealed: 1 })
  expect(await signing(keyRing)).toEqual([third, second, made.secret])
  at(25)
  expect(await signing(keyRing)).toEqual([third, second])
})
