// The dashboard in a real browser over a real fleet: sign in, pair, send, see it read; webhooks that fail; the queue.
import { toString as drawQr } from 'qrcode'
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { hasBrowser, openPage, startBrowser, wideLight } from '../support/browser.ts'
import { signIn, statusOf } from '../support/dashboard.ts'
import { unpaced } from '../../scripts/support/api-client.ts'
import { startTestFleet, type TestFleet } from '../support/fleet.ts'
import { startFlakyReceiver, type FlakyReceiver } from '../support/flaky-receiver.ts'
import { waitFor } from '../support/wait.ts'

describe.runIf(hasBrowser('the dashboard'))('the dashboard', { timeout: 300_000 }, () => {
  let browser: Browser
  let rig: TestFleet
  let receiver: FlakyReceiver
  const adminKey = () => rig.fleet.admin.key

  beforeAll(async () => {
    const started = await Promise.all([
      startBrowser(),
      startTestFleet({ sessions: 0, env: { UJUMBE_SESSION_WORKERS: '1' } }),
      startFlakyReceiver(),
    ])
    ;[browser, rig, receiver] = started
  })
  afterAll(() => Promise.all([browser?.close(), rig?.close(), receiver?.close()]))
  afterEach(() => Promise.all(browser.contexts().map((context) => context.close())))

  it('leads from the first visit to a message that was read', async () => {
    const shop = '254700000001'
    const person = '254711000001'
    await rig.sandbox.addPhone({ phoneNumber: shop, name: 'Shop' })
    await rig.sandbox.addPhone({ phoneNumber: person })
    const { page, troubles } = await openPage(browser, rig.fleet.apiUrl)

    await page.goto('/')
    await page.getByLabel('Admin key').fill('uj_admin_wrong')
    await page.keyboard.press('Enter')
    await page.getByText('This is not the admin key.').waitFor()
    await page.getByLabel('Admin key').fill(adminKey())
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Connect your first WhatsApp number' }).waitFor()

    await page.getByRole('button', { name: 'Make a session' }).click()
    await page.getByLabel('Name').fill('Shop')
    await page.getByRole('button', { name: 'Make session' }).click()
    const made = page.getByRole('dialog', { name: 'Shop is ready to be paired' })
    expect(await made.getByRole('textbox', { name: 'API key' }).inputValue()).toMatch(/^uj_ses_/)
    await page.getByRole('button', { name: 'Link the phone' }).click()
    await page.waitForURL('**/sessions/ses_*')
    const sessionId = new URL(page.url()).pathname.split('/')[2] ?? ''

    const picture = page.getByAltText('QR code that links this session to a phone')
    const qr = await waitFor(
      'the code on the screen is the one that the session offers',
      async () => {
        const { qr: text } = await rig.fleet.admin.qr(sessionId)
        const drawn = await drawQr(text, { type: 'svg', margin: 4 })
        return (await picture.getAttribute('src')) === `data:image/svg+xml,${encodeURIComponent(drawn)}` ? text : undefined
      },
      30_000,
      250,
    )
    await rig.sandbox.scan(shop, qr)
    await statusOf(page, 'Connected').waitFor()
    await page.getByText(`+${shop}`).waitFor()

    await page.getByRole('button', { name: 'Send a message' }).click()
    await page.getByLabel('To', { exact: true }).fill('+254 711 000 001')
    await page.getByLabel('Message', { exact: true }).fill('Your order is ready')
    await page.getByRole('button', { name: 'Send', exact: true }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('It is on the phone, not read yet.').waitFor()
    const [shown] = await rig.sandbox.messages(person)
    expect(shown?.text).toBe('Your order is ready')
    await rig.sandbox.read(person, shown?.id ?? '')
    await dialog.getByRole('list', { name: 'Time line' }).getByText('Read').waitFor()
    await dialog.getByRole('button', { name: 'Done' }).click()

    await page.getByRole('link', { name: 'Messages' }).click()
    await rig.sandbox.sendFrom(person, { to: shop, text: 'Thank you' })
    const answer = page.getByRole('group').filter({ hasText: 'Thank you' })
    await answer.getByText('Received').first().waitFor()
    expect(troubles).toEqual([])
    expect(page.url()).not.toContain('uj_')
    expect(await page.evaluate('JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie')).toBe('{}')
  })

  it('pairs with a code', async () => {
    const school = '254700000002'
    await rig.sandbox.addPhone({ phoneNumber: school, name: 'School' })
    const session = await rig.fleet.admin.createSession({ displayName: 'School', settings: unpaced })
    const { page, troubles } = await openPage(browser, rig.fleet.apiUrl)
    await signIn(page, adminKey(), `/sessions/${session.id}`)
    await page.getByAltText('QR code that links this session to a phone').waitFor({ timeout: 60_000 })
    await page.getByLabel('The phone’s number').fill('12')
    await page.getByRole('button', { name: 'Get a code' }).click()
    await page.getByRole('alert').filter({ hasText: 'Phone number' }).waitFor()
    await page.getByLabel('The phone’s number').fill('+254 700 000 002')
    await page.getByRole('button', { name: 'Get a code' }).click()
    const code = await page.getByLabel('Pairing code', { exact: true }).textContent()
    expect(code).toMatch(/^[A-Z0-9]{4}-[A-Z0-9]{4}$/)
    await rig.sandbox.enterCode(school, code ?? '')
    await statusOf(page, 'Connected').waitFor({ timeout: 60_000 })
    expect(troubles.filter((text) => !text.includes('status of 4'))).toEqual([])
  })

  it('shows a webhook that fails, and delivers it again', async () => {
    const session = await rig.fleet.admin.createSession({ displayName: 'Clinic', settings: unpaced })
    const { page, troubles } = await openPage(browser, rig.fleet.apiUrl)
    await signIn(page, adminKey(), `/sessions/${session.id}/webhooks`)
    await page.getByText('Nobody is told what happens here').waitFor()
    await page.getByRole('button', { name: 'Add an endpoint' }).click()
    await page.getByLabel('Address').fill(receiver.url)
    await page.getByLabel('Events').fill('session.status')
    await page.getByRole('button', { name: 'Add', exact: true }).click()
    expect(await page.getByRole('textbox', { name: 'Signing secret' }).inputValue()).toMatch(/^whsec_/)
    await page.getByRole('button', { name: 'Done' }).click()

    receiver.answerWith(500)
    await rig.fleet.admin.call('POST', `/v1/sessions/${session.id}/disconnect`, {})
    const line = page.getByRole('group').filter({ hasText: 'session.status' }).first()
    await line.getByText('answered 500').first().waitFor()
    await page.getByText('Failing', { exact: true }).waitFor()
    await line.locator('summary').click()
    await line.getByText('the receiver is out of order').first().waitFor()

    receiver.answerWith(204)
    await line.getByRole('button', { name: 'Redeliver' }).click()
    await page.getByText('On its way again').waitFor()
    await page.getByRole('group').filter({ hasText: 'answered 204' }).first().waitFor()
    await page.getByText('Working', { exact: true }).waitFor()
    expect(receiver.received().filter(({ status }) => status === 204).length).toBeGreaterThan(0)
    await page.getByRole('button', { name: 'Send a test event' }).click()
    await page.getByText('The test event arrived').waitFor()
    expect(troubles).toEqual([])
  })

  it('keeps what it shows while the API is away, and says how old it is', async () => {
    const { page } = await openPage(browser, rig.fleet.apiUrl, wideLight)
    await signIn(page, adminKey())
    await page.getByRole('link', { name: 'Shop' }).waitFor()
    await page.context().setOffline(true)
    await page.getByText('Ujumbe does not answer.').waitFor({ timeout: 30_000 })
    expect(await page.getByRole('link', { name: 'Shop' }).isVisible()).toBe(true)
    await page.context().setOffline(false)
    await page.getByText('Ujumbe does not answer.').waitFor({ state: 'detached', timeout: 30_000 })
    await page.getByRole('banner').getByText('Live').waitFor({ timeout: 30_000 })
  })

  it('asks for the key again when the sign-in has ended', async () => {
    const { page } = await openPage(browser, rig.fleet.apiUrl)
    await signIn(page, adminKey())
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Admin key').waitFor()
    await page.reload()
    await page.getByLabel('Admin key').waitFor()
    expect(await page.getByRole('table').count()).toBe(0)
  })
})
