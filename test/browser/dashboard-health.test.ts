// A session falls ill and recovers, as somebody sees it who looks at the dashboard at 2 a.m.
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasBrowser, openPage, startBrowser } from '../support/browser.ts'
import { signIn, statusOf } from '../support/dashboard.ts'
import { startTestFleet, type TestFleet } from '../support/fleet.ts'

const ill = '254700000001'
const well = '254700000002'

describe.runIf(hasBrowser('illness on the dashboard'))('illness on the dashboard', () => {
  let browser: Browser
  let rig: TestFleet
  beforeAll(async () => {
    ;[browser, rig] = await Promise.all([startBrowser(), startTestFleet({ sessions: 2, env: { UJUMBE_SESSION_WORKERS: '1' } })])
  })
  afterAll(() => Promise.all([browser?.close(), rig?.close()]))

  it('shows who is ill and why without a reload, and when it is over', { timeout: 300_000 }, async () => {
    const session = await rig.pairedSession(ill)
    await rig.pairedSession(well)
    const { page, troubles } = await openPage(browser, rig.fleet.apiUrl)
    await signIn(page, rig.fleet.admin.key)
    const first = page.getByRole('row').nth(1)
    const line = page.getByRole('row').filter({ hasText: ill })
    await line.getByRole('img', { name: /^Health \d+ of 100, healthy/ }).waitFor({ timeout: 90_000 })

    // WhatsApp stays connected, answers pings, and acknowledges nothing.
    await rig.sandbox.fault({ kind: 'drop_acks', sessions: [ill] })
    // To oneself, because no receipt of another phone proves that it arrived.
    const send = () => void rig.fleet.admin.sendText(ill, 'Is anybody there?', { sessionId: session.id }).catch(() => undefined)
    const sending = setInterval(send, 6_000)
    send()
    await line.getByRole('img', { name: /critical$/ }).waitFor({ timeout: 120_000 })
    clearInterval(sending)
    await line.getByText(/WhatsApp has acknowledged nothing/).waitFor()
    expect(await first.textContent()).toContain(ill)
    await page.getByRole('link', { name: /^Critical/ }).click()
    expect(await page.getByRole('row').filter({ hasText: well }).count()).toBe(0)

    await line.getByRole('link').click()
    await page.locator('.verdict').getByText('Critical').waitFor()
    await page
      .locator('.reasons')
      .getByText(/WhatsApp has acknowledged nothing/)
      .waitFor()
    await page.getByRole('heading', { name: 'What was done about it' }).waitFor({ timeout: 60_000 })

    await rig.sandbox.clearFaults()
    await page
      .locator('.verdict')
      .getByText(/Recovering|Healthy/)
      .waitFor({ timeout: 150_000 })
    await statusOf(page, 'Connected').waitFor({ timeout: 60_000 })
    await page.getByRole('link', { name: 'Messages', exact: true }).click()
    const sent = page.locator('.message summary').filter({ hasText: 'Is anybody there?' }).locator('.badge').getByText('Sent')
    await sent.first().waitFor({ timeout: 60_000 })
    expect(troubles).toEqual([])
  })
})
