// States of the dashboard that need no fleet: a long queue, answers of a receiver, what is empty, stopped or away.
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { hasBrowser, openPage, startBrowser } from '../support/browser.ts'
import { signIn } from '../support/dashboard.ts'

describe.runIf(hasBrowser('the states of the dashboard'))('the states of the dashboard', () => {
  let browser: Browser
  let api: TestApi
  beforeAll(async () => {
    ;[browser, api] = await Promise.all([startBrowser(), startTestApi()])
  })
  afterAll(() => Promise.all([browser?.close(), api?.close()]))
  afterEach(() => Promise.all(browser.contexts().map((context) => context.close())))

  it('shows of a long queue what leaves next, says how much more waits, and stops it', async () => {
    const { id, key } = await makeSession(api)
    const messages = Array.from({ length: 500 }, (_, n) => ({
      to: `2547${10_000_000 + n}`,
      type: 'text',
      text: { body: `#${n + 1}` },
    }))
    await api.call('POST', '/v1/messages/batch', { key, json: { messages } })
    const { page, troubles } = await openPage(browser, api.url)
    await signIn(page, api.adminKey, `/sessions/${id}/queue`)
    await page.getByText('The next 200 of 500 to go').waitFor()
    const bodies = page.locator('ul.queue li .text')
    expect(await bodies.first().textContent()).toBe('#1')
    expect(await bodies.last().textContent()).toBe('#200')
    await page.getByRole('button', { name: 'Cancel the message to +254710000000' }).click()
    await page.getByText('The next 200 of 499 to go').waitFor()
    expect(await bodies.first().textContent()).toBe('#2')
    expect(await bodies.last().textContent()).toBe('#201')
    expect(troubles).toEqual([])
  })
})
