// Every page of the dashboard on a wide and a narrow screen, by day and by night: no accessibility finding, nothing sticks out, no fault.
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { DemoSession } from '../../scripts/demo/pair.ts'
import { expectAccessible, hasBrowser, openPage, startBrowser, views } from '../support/browser.ts'
import { signIn, statusOf } from '../support/dashboard.ts'
import { startTestFleet, type TestFleet } from '../support/fleet.ts'
import { waitFor } from '../support/wait.ts'

const person = '254711000001'
const longText = 'A rather long message that does not fit on one line of a telephone, '.repeat(4)

describe.runIf(hasBrowser('the pages of the dashboard'))('the pages of the dashboard', { timeout: 300_000 }, () => {
  let browser: Browser
  let rig: TestFleet
  let clinic: DemoSession
  let unpaired: DemoSession

  beforeAll(async () => {
    ;[browser, rig] = await Promise.all([startBrowser(), startTestFleet({ sessions: 1, env: { UJUMBE_SESSION_WORKERS: '1' } })])
    await rig.sandbox.addPhone({ phoneNumber: person, autoRead: true, autoReply: 'Thank you' })
    clinic = await rig.pairedSession('254700000001')
    unpaired = await rig.fleet.admin.createSession({
      displayName: 'A pharmacy with a name that is longer than anybody needs it to be',
    })
    await rig.fleet.admin.sendText(person, longText, { sessionId: clinic.id })
    await waitFor('the message is read', async () => {
      const { data } = await rig.fleet.admin.call<{ data: unknown[] }>('GET', `/v1/sessions/${clinic.id}/messages?status=read`)
      return data.length > 0
    })
    // Waits until next year's tests: the queue is not empty.
    const sendAt = new Date(Date.now() + 300 * 24 * 3600_000).toISOString()
    const scheduled = { to: person, type: 'text', text: { body: longText }, sendAt }
    await rig.fleet.admin.call('POST', `/v1/sessions/${clinic.id}/messages`, scheduled)
  })
  afterAll(() => Promise.all([browser?.close(), rig?.close()]))
  afterEach(() => Promise.all(browser.contexts().map((context) => context.close())))

  /** What tells that a page has its data. */
  const pages: [path: () => string, shows: (page: Page) => Promise<unknown>][] = [
    [() => '/', (page) => page.getByRole('link', { name: 'Session of 254700000001' }).waitFor()],
    [() => '/fleet', (page) => page.getByText('Working').first().waitFor()],
    [() => `/sessions/${clinic.id}`, (page) => page.getByRole('heading', { name: 'Health', exact: true }).waitFor()],
    [() => `/sessions/${clinic.id}/queue`, (page) => page.getByRole('button', { name: /^Cancel the message/ }).waitFor()],
    [() => `/sessions/${clinic.id}/messages`, (page) => page.locator('.message summary').first().click()],
    [() => `/sessions/${clinic.id}/webhooks`, (page) => page.locator('.delivery summary').first().click()],
    [() => `/sessions/${clinic.id}/keys`, (page) => page.getByText('never ends').waitFor()],
    [() => `/sessions/${clinic.id}/settings`, (page) => page.getByLabel('Messages a minute').waitFor()],
    [() => `/sessions/${unpaired.id}`, (page) => page.getByAltText(/^QR code/).waitFor({ timeout: 60_000 })],
    [() => '/sessions/%E0%A4%A', (page) => page.getByRole('heading', { name: 'Sessions', exact: true }).waitFor()],
    [() => '/sessions/ses_none', (page) => page.getByText('There is no such session').waitFor()],
  ]

  it.each(views)('$width pixels, $colorScheme', async (view) => {
    const { page, troubles } = await openPage(browser, rig.fleet.apiUrl, view)
    await page.goto('/')
    await page.getByLabel('Admin key').waitFor()
    await expectAccessible(page, 'the sign-in')
    await signIn(page, rig.fleet.admin.key)
    for (const [pathOf, shows] of pages) {
      const path = pathOf()
      await page.goto(path)
      await shows(page)
      await expectAccessible(page, path)
    }
    expect(troubles.filter((text) => !text.includes('/v1/sessions/ses_none'))).toEqual([])
  })

  it.each([views[0], views[3]].filter((view) => view !== undefined))('dialogs: $width pixels, $colorScheme', async (view) => {
    const { page, troubles } = await openPage(browser, rig.fleet.apiUrl, view)
    await signIn(page, rig.fleet.admin.key)
    for (const name of ['New session', 'Make a key', 'Add an endpoint', 'Delete…'] as const) {
      const tab = { 'New session': '/', 'Make a key': 'keys', 'Add an endpoint': 'webhooks', 'Delete…': 'settings' }[name]
      await page.goto(tab === '/' ? '/' : `/sessions/${clinic.id}/${tab}`)
      const button = page.getByRole('button', { name, exact: true }).last()
      await button.click()
      await page.getByRole('dialog').waitFor()
      await expectAccessible(page, name)
      await page.keyboard.press('Escape')
      await page.getByRole('dialog').waitFor({ state: 'detached' })
      expect(await page.evaluate('document.activeElement.textContent'), name).toBe(name)
    }
    expect(troubles).toEqual([])
  })

  it('can be used with the keyboard alone', async () => {
    const { page } = await openPage(browser, rig.fleet.apiUrl)
    await page.goto('/')
    await page.getByLabel('Admin key').waitFor()
    await page.keyboard.type(rig.fleet.admin.key)
    await page.keyboard.press('Enter')
    const link = page.getByRole('link', { name: 'Session of 254700000001' })
    await link.waitFor()
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content')
    await page.keyboard.press('Enter')
    await tabTo(page, 'Session of 254700000001')
    await page.keyboard.press('Enter')
    await statusOf(page, 'Connected').waitFor()
    await tabTo(page, 'Send a message')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.type(person)
    await page.keyboard.press('Tab')
    await page.keyboard.type('By keyboard')
    await tabTo(page, 'Send')
    await page.keyboard.press('Enter')
    await page.getByRole('list', { name: 'Time line' }).getByText('Read').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Send a message')
  })

  it('stops a message that waits', async () => {
    const { page, troubles } = await openPage(browser, rig.fleet.apiUrl)
    await signIn(page, rig.fleet.admin.key, `/sessions/${clinic.id}/queue`)
    await page.getByRole('button', { name: /^Cancel the message/ }).click()
    await page.getByText('Nothing waits').waitFor()
    await page.getByRole('link', { name: 'Messages', exact: true }).click()
    await page
      .getByRole('group')
      .filter({ hasText: longText.slice(0, 40) })
      .getByText('Canceled')
      .first()
      .waitFor()
    expect(troubles).toEqual([])
  })

  it('sets a proxy, shows it without its password, and keeps it when something else is saved', async () => {
    const { page, troubles } = await openPage(browser, rig.fleet.apiUrl)
    await signIn(page, rig.fleet.admin.key, `/sessions/${unpaired.id}/settings`)
    await page.getByLabel('Proxy').fill('socks5://kiosk:mango-7@127.0.0.1:1080')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Saved').waitFor()
    await page.reload()
    expect(await page.getByLabel('Proxy').inputValue()).toBe('socks5://kiosk:***@127.0.0.1:1080')
    await page.getByLabel('Name').fill('A pharmacy')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Saved').waitFor()
    const path = `/v1/sessions/${unpaired.id}`
    const { settings } = await rig.fleet.admin.call<{ settings: unknown }>('GET', path)
    expect(settings).toMatchObject({ proxyUrl: 'socks5://kiosk:***@127.0.0.1:1080' })
    expect(troubles).toEqual([])
  })
})

/** As somebody without a mouse gets there; at most once around. */
async function tabTo(page: Page, text: string): Promise<void> {
  for (let n = 0; n < 60; n += 1) {
    if ((await page.evaluate('document.activeElement.textContent')) === text) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`the keyboard does not reach “${text}”`)
}
