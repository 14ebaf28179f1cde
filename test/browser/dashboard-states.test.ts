// States of the dashboard that need no fleet: a long queue, answers of a receiver, what is empty, stopped or away.
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { expectAccessible, hasBrowser, lookAgain, openPage, startBrowser, views } from '../support/browser.ts'
import { signIn } from '../support/dashboard.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { newInbound, tells } from '../support/records.ts'

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

  it('loses no secret to a click beside the dialog that shows it', async () => {
    const { id } = await makeSession(api)
    const { page } = await openPage(browser, api.url)
    await signIn(page, api.adminKey, `/sessions/${id}/keys`)
    await page.getByRole('button', { name: 'Make a key' }).click()
    await page.getByRole('button', { name: 'Make key' }).click()
    const secret = page.getByRole('textbox', { name: 'API key' })
    await secret.waitFor()
    await page.mouse.click(5, 400)
    await page.mouse.click(640, 5)
    expect(await secret.inputValue()).toMatch(/^uj_ses_/)
    await page.getByRole('button', { name: 'Done' }).click()
    await secret.waitFor({ state: 'detached' })
  })

  it('says when there are more sessions than it lists, and opens one of those by its id', async () => {
    const { id } = await makeSession(api, { displayName: 'Older than all that are listed' })
    const { page } = await openPage(browser, api.url)
    let number = 0
    await page.route('**/v1/fleet/sessions*', (route) => {
      number += 1
      const line = { status: 'connected', phoneNumber: null, health: null, queueDepth: 0, lastEventAt: null }
      const data = [{ ...line, id: `ses_${String(number).padStart(26, '0')}`, displayName: `Session ${number}` }]
      return route.fulfill({ json: { data, nextCursor: 'more' } })
    })
    await signIn(page, api.adminKey)
    await page.getByText('These are the newest 50 sessions').waitFor()
    await expectAccessible(page, 'a list that is not whole')
    await page.getByRole('searchbox').fill(id)
    await page.getByRole('link', { name: `Open ${id}` }).click()
    await page.getByRole('heading', { name: 'Older than all that are listed' }).waitFor()
    expect(number).toBeGreaterThanOrEqual(50)
  })
})

describe.runIf(hasBrowser('what the dashboard shows seldom'))('what the dashboard shows seldom', () => {
  let browser: Browser
  let api: TestApi
  let receiver: Receiver
  beforeAll(async () => {
    browser = await startBrowser()
  })
  beforeEach(async () => {
    ;[api, receiver] = await Promise.all([startTestApi(), startReceiver()])
  })
  afterEach(() => Promise.all([...browser.contexts().map((context) => context.close()), api.close(), receiver.close()]))
  afterAll(() => browser?.close())

  it.each([views[0], views[3]].filter((view) => view !== undefined))('$width pixels, $colorScheme', async (view) => {
    const { page } = await openPage(browser, api.url, view)
    await page.goto('/')
    await page.getByLabel('Admin key').fill('uj_admin_wrong')
    await page.keyboard.press('Enter')
    await page.getByText('This is not the admin key.').waitFor()
    await expectAccessible(page, 'a refused sign-in')
    await signIn(page, api.adminKey)
    await page.getByRole('heading', { name: 'Connect your first WhatsApp number' }).waitFor()
    await expectAccessible(page, 'the first run')
    await page.getByRole('link', { name: 'Fleet' }).click()
    await page.getByText('No worker is running').waitFor()
    await expectAccessible(page, 'a fleet without workers')

    await page.goto('/')
    await page.getByRole('button', { name: 'Make a session' }).click()
    await page.getByLabel('Name').fill('Shop')
    await page.getByLabel('Webhook address').fill(receiver.url)
    await page.getByRole('button', { name: 'Make session' }).click()
    await page.getByRole('textbox', { name: 'Webhook signing secret' }).waitFor()
    await expectAccessible(page, 'the secrets of a new session')
    await page.getByRole('button', { name: 'Link the phone' }).click()
    await page.getByRole('heading', { name: 'Link the phone' }).waitFor()
    await expectAccessible(page, 'a session that waits for its first code')

    const id = new URL(page.url()).pathname.split('/')[2] ?? ''
    const at = (tab: string) => page.goto(`/sessions/${id}${tab}`)
    await at('/queue')
    await page.getByText('Nothing waits').waitFor()
    await expectAccessible(page, 'an empty queue')
    await at('/messages')
    await page.getByText('No messages yet').waitFor()
    await expectAccessible(page, 'no messages')

    // A page of a framework, as receivers answer it: the kilobyte that is kept does not fit its box.
    const answer = '<p>a line of the trace of a framework</p>\n'.repeat(24)
    receiver.answerWith({ status: 500, body: answer })
    await deliverOnce(id, answer)
    await at('/webhooks')
    await page.getByRole('button', { name: 'Send a test event' }).click()
    await page.getByText('The test event failed').waitFor()
    await page.locator('.delivery summary').first().click()
    await page.locator('.attempts').getByText('a line of the trace').waitFor()
    await expectAccessible(page, 'long answers of a receiver')
    const answers = await page.evaluate('[...document.querySelectorAll("pre")].map((box) => box.scrollHeight > box.clientHeight)')
    expect(answers, 'the answers do not fit their boxes').toEqual([true, true])
    for (const name of ['Replay…', 'Renew secret…'] as const) {
      await page.getByRole('button', { name }).click()
      await page.getByRole('dialog').waitFor()
      await expectAccessible(page, name)
      await page.keyboard.press('Escape')
    }

    await storeMessage(id, 'Somebody wrote a whole page.\n'.repeat(60))
    await at('/messages')
    await page.locator('.message summary').click()
    await page.locator('blockquote').waitFor()
    await expectAccessible(page, 'a long message')

    await api.store.sessions.raiseEpoch(id, 1)
    const banned = { status: 'disconnected', statusReason: 'banned', phoneNumber: '254700000001' } as const
    await api.store.sessions.update(id, 1, banned, () => [])
    await at('')
    await page.getByText('This session is not connected').waitFor()
    await expectAccessible(page, 'a session that was given up')
    await page.getByRole('button', { name: 'Send a message' }).click()
    await page.getByRole('dialog').waitFor()
    await expectAccessible(page, 'sending while it is not connected')
    await page.goto('/')
    await page.getByRole('link', { name: /^Critical/ }).waitFor()
    await page.goto('/?show=recovering')
    await page.getByText('No session fits').waitFor()
    await expectAccessible(page, 'a filter that nothing fits')
    await page.context().setOffline(true)
    await lookAgain(page)
    await page.getByText('Ujumbe does not answer.').waitFor()
    await expectAccessible(page, 'without a network')
  })

  /** As a webhook worker writes it down. */
  async function deliverOnce(sessionId: string, answer: string): Promise<void> {
    await api.store.events.append(sessionId, tells('message.sent')({ id: 'msg_x' }))
    const [endpoint] = (await api.store.endpoints.list({ sessionId, limit: 1 })).data
    const [delivery] = (await api.store.deliveries.list({ endpointId: endpoint?.id ?? '', limit: 1 })).data
    const attempt = { at: Date.now(), status: 500, durationMs: 12, error: null, answer }
    const next = { status: 'failed' as const, nextAttemptAt: Date.now() + 60_000 }
    await api.store.deliveries.recordAttempts([{ deliveryId: delivery?.id ?? '', attempt, next }])
  }

  async function storeMessage(sessionId: string, body: string): Promise<void> {
    const content = { text: { body, linkPreview: false } }
    await api.store.messages.storeInbound(newInbound(sessionId, 'W1', { content }), tells('message.received'))
  }
})
