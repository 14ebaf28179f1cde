// How fresh the dashboard is: events while somebody looks, and what it says when the API does not give what it is asked for.
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { hasBrowser, openPage, setHidden, startBrowser } from '../support/browser.ts'
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
})
