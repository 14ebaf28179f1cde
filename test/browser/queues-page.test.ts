// Bull Board in a real browser: the dashboard's sign-in opens it, it loads nothing from elsewhere, and nobody can do harm with it.
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { hasBrowser, openPage, startBrowser } from '../support/browser.ts'

describe.runIf(hasBrowser('the queues page'))('the queues page', () => {
  let browser: Browser
  let api: TestApi
  beforeAll(async () => {
    ;[browser, api] = await Promise.all([startBrowser(), startTestApi()])
  })
  afterAll(() => Promise.all([browser?.close(), api?.close()]))

  it('leads through the sign-in to the queues that matter now', async () => {
    const busy = await makeSession(api)
    const idle = await makeSession(api)
    const message = { to: '254712345678', type: 'text', text: { body: 'x' } }
    expect((await api.call('POST', '/v1/messages', { key: busy.key, json: message })).status).toBe(202)

    const { page, troubles } = await openPage(browser, api.url)
    await page.goto('/queues')
    await page.getByLabel('Admin key').fill('uj_admin_wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('This is not the admin key.').waitFor()
    await page.getByLabel('Admin key').fill(api.adminKey)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL('**/queues')
    for (const name of ['webhook-deliveries', 'webhook-retries', 'ticks', `send-${busy.id}`]) {
      await page
        .getByRole('link', { name: new RegExp(`^${name}`) })
        .first()
        .waitFor()
    }
    expect(await page.getByText(`send-${idle.id}`).count()).toBe(0)
    await page
      .getByRole('link', { name: /^ticks/ })
      .first()
      .click()
    await page.getByRole('heading', { name: 'ticks' }).first().waitFor()
    expect(troubles).toEqual([])

    // The same sign-in is good for the dashboard.
    await page.goto('/')
    await page.getByRole('heading', { name: 'Sessions' }).waitFor()
    expect(troubles).toEqual([])
  })
})
