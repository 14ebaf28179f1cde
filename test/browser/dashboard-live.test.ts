// How fresh the dashboard is: events while somebody looks, and what it says when the API does not give what it is asked for.
import type { Browser } from 'playwright-core'
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

  it('says that a session has gone, instead of showing it as it was', async () => {
    const { id } = await makeSession(api, { displayName: 'Kiosk' })
    const { page } = await openPage(browser, api.url)
    await signIn(page, api.adminKey, `/sessions/${id}`)
    await page.getByRole('heading', { name: 'Kiosk' }).waitFor()
    await api.call('DELETE', `/v1/sessions/${id}`, { key: api.adminKey })
    await lookAgain(page)
    await page.getByText('There is no such session').waitFor()
    expect(await page.getByRole('heading', { name: 'Kiosk' }).count()).toBe(0)
  })
})
