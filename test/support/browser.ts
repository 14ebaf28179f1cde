// A real Chromium for tests, and pages that note everything that goes wrong in them.
import { existsSync } from 'node:fs'
import { AxeBuilder } from '@axe-core/playwright'
import { chromium, type Browser, type Page } from 'playwright-core'
import { expect } from 'vitest'

const executablePath = '/usr/bin/chromium'
const flags =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'

/** False, with a line that says so, where there is none. */
export function hasBrowser(what: string): boolean {
  if (existsSync(executablePath)) return true
  process.stderr.write(`SKIPPED: ${what} is not tested, because there is no ${executablePath}.\n`)
  return false
}

export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath, args: flags.split(' ') })
}

interface View {
  width: number
  colorScheme: 'light' | 'dark'
}

export const wideLight: View = { width: 1280, colorScheme: 'light' }
export const views: readonly View[] = [
  wideLight,
  { width: 1280, colorScheme: 'dark' },
  { width: 360, colorScheme: 'light' },
  { width: 360, colorScheme: 'dark' },
]

export interface WatchedPage {
  page: Page
  /** Faults of scripts, refused by the policy, requests to anywhere else. A 401 before the sign-in is none. */
  troubles: string[]
}

export async function openPage(
  browser: Browser,
  baseUrl: string,
  { width, colorScheme }: View = wideLight,
): Promise<WatchedPage> {
  const context = await browser.newContext({
    baseURL: baseUrl,
    viewport: { width, height: 800 },
    colorScheme,
    reducedMotion: 'reduce',
  })
  const page = await context.newPage()
  const troubles: string[] = []
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type()) || message.text().includes('status of 401')) return
    troubles.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => void troubles.push(error.message))
  page.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(`${baseUrl}/`) && !url.startsWith('data:')) troubles.push(`asked ${url}`)
  })
  return { page, troubles }
}

/** No finding of axe-core, and nothing that sticks out to the right. */
export async function expectAccessible(page: Page, where: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(
    violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 300))]),
    where,
  ).toEqual([])
  const width = page.viewportSize()?.width ?? 0
  expect(await page.evaluate('document.documentElement.scrollWidth'), `${where} fits ${width} pixels`).toBeLessThanOrEqual(width)
}

/** As when another tab comes to the front, or this one does: a browser without a screen never hides a page by itself. */
export async function setHidden(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate(`
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => ${isHidden} })
    document.dispatchEvent(new Event('visibilitychange'))
  `)
}

/** A page refreshes then, sooner than by itself. */
export async function lookAgain(page: Page): Promise<void> {
  await setHidden(page, true)
  await setHidden(page, false)
}
