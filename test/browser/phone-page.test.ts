// The sandbox's page in a real browser: add phones, link a client, talk, on a wide and on a narrow screen.
import { existsSync } from 'node:fs'
import { AxeBuilder } from '@axe-core/playwright'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startBaileys, type BaileysClient } from '../support/baileys.ts'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'
import { waitFor } from '../support/wait.ts'

const executablePath = '/usr/bin/chromium'
const flags =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'
const hasBrowser = existsSync(executablePath)
if (!hasBrowser) process.stderr.write('SKIPPED: the sandbox page is not tested, because there is no /usr/bin/chromium.\n')

describe.runIf(hasBrowser)('the page of the sandbox', () => {
  let browser: Browser
  let sandbox: TestSandbox
  let client: BaileysClient | undefined
  let troubles: string[]

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: flags.split(' ') })
  })
  afterAll(() => browser.close())
  beforeEach(async () => {
    sandbox = await startTestSandbox()
    troubles = []
  })
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()))
    await client?.close()
    client = undefined
    await sandbox.close()
  })

  async function open(width: number, colorScheme: 'light' | 'dark' = 'light'): Promise<Page> {
    const context = await browser.newContext({ viewport: { width, height: 780 }, colorScheme })
    const page = await context.newPage()
    page.on('console', (message) => void (['error', 'warning'].includes(message.type()) && troubles.push(message.text())))
    page.on('pageerror', (error) => void troubles.push(error.message))
    page.on('request', (request) => void (request.url().startsWith(sandbox.controlUrl) || troubles.push(request.url())))
    await page.goto(sandbox.controlUrl)
    return page
  }

  async function addPhone(page: Page, number: string, name: string): Promise<void> {
    await page.getByLabel('Phone number').fill(number)
    await page.getByLabel('Name').fill(name)
    await page.getByRole('button', { name: 'Add a phone' }).click()
    await page.getByRole('heading', { name }).waitFor()
  }

  it('adds phones, links a client by its QR text, and carries a conversation', async () => {
    const page = await open(1280)
    await page.getByText('No phones yet').waitFor()
    await addPhone(page, '+254 711 000 001', 'Shop')
    client = startBaileys(sandbox.url)
    const qr = await waitFor('a QR code', () => client?.qr)
    await page.getByLabel('Text of the QR code').fill(qr)
    await page.getByRole('button', { name: 'Scan' }).click()
    await page.getByText('Device 1 is linked').waitFor()
    await waitFor('the connection', () => client?.isOpen)

    await addPhone(page, '254711000002', 'Asha')
    await client.sendText('254711000002@s.whatsapp.net', 'Ready for pickup')
    await page.locator('#chat-list').getByRole('button', { name: /Shop/ }).click()
    await page.locator('#messages').getByText('Ready for pickup').waitFor()
    await page.getByRole('button', { name: 'Mark as read' }).click()
    await waitFor('the read receipt', () =>
      client?.stanzas.some(({ tag, attrs }) => tag === 'receipt' && attrs['type'] === 'read'),
    )
    await page.getByRole('textbox', { name: 'Message' }).fill('On my way')
    await page.keyboard.press('Enter')
    await page.locator('#messages').getByText('On my way').waitFor()
    await waitFor('the answer', () => client?.texts().includes('On my way'))
    expect(troubles).toEqual([])
  })

  it('says what is wrong with what was typed', async () => {
    const page = await open(1280)
    await addPhone(page, '254711000001', 'Shop')
    await page.getByLabel('Text of the QR code').fill('not a QR code')
    await page.getByRole('button', { name: 'Scan' }).click()
    await page.getByText('This is not the text of a linking QR code.').waitFor()
    await page.getByLabel('Pairing code').fill('ABCD-EFGH')
    await page.getByRole('button', { name: 'Enter code' }).click()
    await page.getByText('No client waits for a code of this phone.').waitFor()
    await page.getByLabel('Phone number').fill('12')
    await page.getByRole('button', { name: 'Add a phone' }).click()
    await page.getByText('must have 7 to 15 digits').waitFor()
    expect((await sandbox.client.phones()).map(({ phoneNumber }) => phoneNumber)).toEqual(['254711000001'])
  })

  it.each([
    [1280, 'light'],
    [360, 'light'],
    [360, 'dark'],
  ] as const)('fits %i pixels (%s) and has no accessibility finding', async (width, colorScheme) => {
    await sandbox.client.addPhone({ phoneNumber: '254711000001', name: 'A rather long name for a small screen' })
    await sandbox.client.addPhone({ phoneNumber: '254711000002', name: 'Asha' })
    await sandbox.client.sendFrom('254711000002', { to: '254711000001', text: `Hello ${'long'.repeat(60)}` })
    const page = await open(width, colorScheme)
    const check = async () => {
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
      const { violations } = await new AxeBuilder({ page }).analyze()
      expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([])
    }
    await page.getByRole('button', { name: /A rather long/ }).waitFor()
    await check()
    await page.getByRole('button', { name: /A rather long/ }).click()
    await page.locator('#chat-list').getByRole('button', { name: /Asha/ }).waitFor()
    await check()
    await page.locator('#chat-list').getByRole('button', { name: /Asha/ }).click()
    await page.locator('#messages').getByText('Hello').waitFor()
    await check()
    expect(troubles).toEqual([])
  })
})
