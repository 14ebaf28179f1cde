// How fresh the dashboard is: events while somebody looks, and what it says when the API does not give what it is asked for.
import type { Browser } from 'playwright-core'
import { toString as drawQr } from 'qrcode'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { expectAccessible, hasBrowser, lookAgain, openPage, setHidden, startBrowser } from '../support/browser.ts'
import { signIn } from '../support/dashboard.ts'

describe.runIf(hasBrowser('how fresh the dashboard is'))('how fresh the dashboard is', () => {
  let browser: Browser
  let api: TestApi
  beforeAll(async () => {
    ;[browser, api] = await Promise.all([startBrowser(), startTestApi()])
  })
  afterAll(() => Promise.all([browser?.close(), api?.close()]))
  afterEach(() => Promise.all(browser.contexts().map((context) => context.close())))

  it('works in any number of tabs, and shows in each what happened while nobody looked at it', async () => {
    const { id } = await makeSession(api, { displayName: 'Bakery' })
    const { page: first, troubles } = await openPage(browser, api.url)
    await signIn(first, api.adminKey)
    await setHidden(first, true)
    // A browser opens six connections to a host.
    for (let n = 2; n <= 8; n += 1) {
      const page = await first.context().newPage()
      await page.goto(n % 2 === 0 ? '/' : `/sessions/${id}`)
      await page.getByRole('banner').getByText('Live').waitFor()
      await page.getByText('Bakery').first().waitFor()
      await setHidden(page, true)
    }
    await api.call('PATCH', `/v1/sessions/${id}`, { key: api.adminKey, json: { displayName: 'Bakery by the sea' } })
    await setHidden(first, false)
    await first.getByRole('link', { name: 'Bakery by the sea' }).waitFor()
    await first.getByRole('banner').getByText('Live').waitFor()
    expect(troubles).toEqual([])
  })

  it('works in any number of windows side by side: those that were looked at last are live', async () => {
    await makeSession(api, { displayName: 'Bakery' })
    const { page: first, troubles } = await openPage(browser, api.url)
    await signIn(first, api.adminKey)
    for (let n = 2; n <= 9; n += 1) {
      const page = await first.context().newPage()
      await page.goto('/')
      await page.getByRole('banner').getByText('Live').waitFor()
      await page.getByRole('link', { name: 'Bakery' }).first().waitFor()
    }
    await first.getByRole('banner').getByText('Every 10 s').waitFor()
    const { id } = await makeSession(api, { displayName: 'Made meanwhile' })
    await first.evaluate('dispatchEvent(new Event("focus"))')
    await first.getByRole('banner').getByText('Live').waitFor()
    await first.getByRole('link', { name: 'Made meanwhile' }).click()
    await first.waitForURL(`**/sessions/${id}`)
    await first.getByRole('banner').getByText('Live').waitFor()
    expect(troubles).toEqual([])
  })

  it('shows what it has and what is wrong while the API is busy, and is not live then', async () => {
    const { id } = await makeSession(api, { displayName: 'Pharmacy' })
    const { page } = await openPage(browser, api.url)
    await signIn(page, api.adminKey)
    const line = page.getByRole('link', { name: 'Pharmacy' })
    await line.waitFor()
    const detail = 'The store does not answer.'
    const busy = {
      status: 503,
      contentType: 'application/problem+json',
      headers: { 'Retry-After': '2' },
      body: JSON.stringify({
        type: 'about:blank',
        title: 'Busy',
        status: 503,
        code: 'store_unavailable',
        detail,
        requestId: 'req_x',
      }),
    }
    await page.route('**/v1/fleet/sessions*', (route) => route.fulfill(busy))
    await lookAgain(page)
    const fault = page.getByRole('alert').filter({ hasText: detail })
    await fault.waitFor()
    expect(await fault.textContent()).toMatch(/What you see is from \d/)
    expect(await line.isVisible()).toBe(true)
    expect(await page.getByRole('banner').getByText('Live').count()).toBe(0)
    await expectAccessible(page, 'the list while the API is busy')
    await page.unroute('**/v1/fleet/sessions*')
    await page.getByRole('button', { name: 'Try again' }).click()
    await fault.waitFor({ state: 'detached' })
    await page.getByRole('banner').getByText('Live').waitFor()

    // The page of a session: its own data, and the tab's.
    await line.click()
    await page.getByRole('heading', { name: 'Link the phone' }).waitFor()
    await page.route(`**/v1/sessions/${id}`, (route) => route.fulfill(busy))
    await lookAgain(page)
    await fault.waitFor()
    expect(await page.getByRole('heading', { name: 'Pharmacy' }).isVisible()).toBe(true)
  })

  it('shows the QR code and asks for it once a second at most, whatever a proxy or a wrong clock makes of its times', async () => {
    const { id } = await makeSession(api, { displayName: 'Kiosk' })
    const { page } = await openPage(browser, api.url)
    const askedAt: number[] = []
    const inAnHour = new Date(Date.now() + 3_600_000).toISOString()
    const anHourAgo = new Date(Date.now() - 3_600_000).toISOString()
    let answer: { status: number; headers?: Record<string, string>; json: object }
    await page.route(`**/v1/sessions/${id}/qr`, (route) => {
      askedAt.push(performance.now())
      return route.fulfill(answer)
    })
    const asksSlowly = async () => {
      askedAt.length = 0
      await expect.poll(() => askedAt.length, { timeout: 20_000 }).toBeGreaterThan(1)
      const gaps = askedAt.slice(1).map((at, i) => at - (askedAt[i] ?? at))
      expect(Math.min(...gaps)).toBeGreaterThan(900)
    }
    const picture = page.getByAltText(/^QR code/)
    const isOf = async (text: string) => {
      const source = `data:image/svg+xml,${encodeURIComponent(await drawQr(text, { type: 'svg', margin: 4 }))}`
      await expect.poll(() => picture.getAttribute('src'), { timeout: 10_000 }).toBe(source)
    }
    answer = { status: 200, json: { qr: '2@first,a,b', expiresAt: 'none' } }
    await signIn(page, api.adminKey, `/sessions/${id}`)
    await isOf('2@first,a,b')
    await asksSlowly()
    answer = { status: 200, json: { qr: '2@second,a,b', expiresAt: anHourAgo } }
    await isOf('2@second,a,b')
    await asksSlowly()
    for (const text of ['2@third,a,b', '2@fourth,a,b']) {
      answer = { status: 200, json: { qr: text, expiresAt: inAnHour } }
      await isOf(text)
    }
    const problem = { type: 'about:blank', title: 'x', status: 409, code: 'qr_not_ready', detail: 'x', requestId: 'req_x' }
    answer = { status: 409, headers: { 'Retry-After': new Date().toUTCString() }, json: problem }
    await picture.waitFor({ state: 'detached' })
    await asksSlowly()
  })

  it('says that a session has gone, instead of showing it as it was', async () => {
    const { id } = await makeSession(api, { displayName: 'Kiosk' })
    const { page } = await openPage(browser, api.url)
    await signIn(page, api.adminKey, `/sessions/${id}`)
    await page.getByRole('heading', { name: 'Kiosk' }).waitFor()
    await api.call('DELETE', `/v1/sessions/${id}`, { key: api.adminKey })
    await lookAgain(page)
    await page.getByText('There is no such session').waitFor()
    expect(await page.getByRole('heading', { name: 'Kiosk' }).count()).toBe(0)
    expect(await page.getByText('This page cannot be refreshed.').count()).toBe(0)
  })

  it('reads anew what it could not while nobody answered, also where it never refreshes by itself', async () => {
    const { id } = await makeSession(api)
    const { page } = await openPage(browser, api.url)
    await signIn(page, api.adminKey, `/sessions/${id}/keys`)
    const keys = page.getByRole('button', { name: /^Delete the key/ })
    await keys.waitFor()
    const path = `**/v1/sessions/${id}/keys?*`
    await page.route(path, (route) => route.abort())
    await page.getByRole('button', { name: 'Make a key' }).click()
    await page.getByRole('button', { name: 'Make key' }).click()
    await page.getByText('Ujumbe does not answer.').waitFor()
    await page.unroute(path)
    await page.getByRole('button', { name: 'Done' }).click()
    await expect.poll(() => keys.count(), { timeout: 20_000 }).toBe(2)
    await page.getByRole('banner').getByText('Live').waitFor()
  })
})
