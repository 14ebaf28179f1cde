// The proxy setting: which addresses are one, what is shown, who may set it, and what its sealed form opens to.
import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { openProxyUrl, parseProxyUrl, prepareProxy, shownProxyUrl } from '../../src/sessions/proxy.ts'
import { KeyRing } from '../../src/store/key-ring.ts'
import { createGuardPolicy } from '../../src/webhooks/guard-url.ts'
import { newSession } from '../support/records.ts'

const secretBox = new KeyRing([randomBytes(32)], pino({ level: 'silent' }))
const guardPolicy = createGuardPolicy(['127.0.0.0/8'])
const deps = { secretBox, guardPolicy }
const prepare = (wanted: string | null, current: string | null = null, isAdmin = true) =>
  prepareProxy(deps, 'ses_1', { wanted, current, isAdmin })

describe('an address', () => {
  test.each([
    ['http://kiosk:mango@proxy.example:3128', 'http://kiosk:***@proxy.example:3128'],
    ['https://proxy.example/', 'https://proxy.example'],
    ['socks5://kiosk@proxy.example', 'socks5://kiosk@proxy.example'],
    ['SOCKS5H://kiosk:m%40ngo@[2606:2800::1]:1080', 'socks5h://kiosk:***@[2606:2800::1]:1080'],
  ])('%s is shown as %s', (text, shown) => expect(shownProxyUrl(parseProxyUrl(text))).toBe(shown))

  test.each([
    ['ftp://proxy.example', 'does not begin'],
    ['socks4://proxy.example:1080', 'does not begin'],
    ['proxy.example:3128', 'does not begin'],
    ['//proxy.example', 'is no address'],
    ['', 'is no address'],
    ['http://', 'is no address'],
    ['socks5://', 'has no host'],
    ['http://proxy.example/way', 'has a path'],
    ['socks5://proxy.example/way', 'has a path'],
    ['http://proxy.example?a=1', 'has a path'],
    ['http://proxy.example/#there', 'has a path'],
    ['http://kiosk:%zz@proxy.example', 'percent-encoded'],
    ['http://:mango@proxy.example', 'without a user name'],
    [`socks5://kiosk:${'m'.repeat(256)}@proxy.example`, '255 bytes'],
    [`http://kiosk:${'m'.repeat(2_000)}@proxy.example`, '2,000 characters'],
  ])('%.60s is refused in a sentence', (text, says) => {
    expect(() => parseProxyUrl(text)).toThrow(says)
    expect(() => parseProxyUrl(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })
})

test('it is kept sealed for its session, and nowhere in clear', async () => {
  const set = await prepare('http://kiosk:mango-7@127.0.0.1:3128')
  expect(JSON.stringify(set)).not.toContain('mango')
  const { session } = newSession({ id: 'ses_1' })
  const settings = { ...session.settings, ...set }
  expect(openProxyUrl(secretBox, { id: 'ses_1', settings })?.href).toBe('http://kiosk:mango-7@127.0.0.1:3128/')
  expect(() => openProxyUrl(secretBox, { id: 'ses_2', settings })).toThrow(
    expect.objectContaining({ code: 'credentials_unreadable' }),
  )
  const torn = { ...settings, sealedProxyUrl: null }
  expect(() => openProxyUrl(secretBox, { id: 'ses_1', settings: torn })).toThrow(/missing/)
  expect(openProxyUrl(secretBox, session)).toBeNull()
})

test('what is shown, sent back, changes nothing; for another address its mask is no password', async () => {
  const shown = 'http://kiosk:***@127.0.0.1:3128'
  expect(await prepare(shown, shown)).toBeNull()
  expect(await prepare(`${shown}/`, shown, false)).toBeNull()
  expect(await prepare(null, null, false)).toBeNull()
  await expect(prepare('http://kiosk:***@127.0.0.2:3128', shown)).rejects.toThrow('masked')
  await expect(prepare(shown)).rejects.toThrow('masked')
  expect(await prepare('http://kiosk:new@127.0.0.1:3128', shown)).toMatchObject({ proxyUrl: shown })
  expect(await prepare(null, shown)).toEqual({ proxyUrl: null, sealedProxyUrl: null })
})

test('only an admin sets, changes or removes one; where it may not lead it is refused', async () => {
  const shown = 'socks5://127.0.0.1:1080'
  const notAdmin = { code: 'admin_only', status: 403 }
  await expect(prepare(shown, null, false)).rejects.toMatchObject(notAdmin)
  await expect(prepare(null, shown, false)).rejects.toMatchObject(notAdmin)
  await expect(prepare('http://kiosk:guess@127.0.0.1', 'http://kiosk:***@127.0.0.1', false)).rejects.toMatchObject(notAdmin)
  for (const url of ['http://10.0.0.1:3128', 'socks5://167772161:1080', 'http://169.254.169.254', 'socks5h://127.0.0.1:25']) {
    await expect(prepare(url), url).rejects.toMatchObject({ code: 'url_not_allowed' })
  }
})
