// What people do on the dashboard, for browser tests.
import type { Page } from 'playwright-core'

export async function signIn(page: Page, adminKey: string, path = '/'): Promise<void> {
  await page.goto(path)
  await page.getByLabel('Admin key').fill(adminKey)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('banner').getByText('Live').waitFor()
}

/** The badge below the name of the session whose page is open. */
export function statusOf(page: Page, label: string) {
  return page.locator('.session-head .badge').getByText(label, { exact: true })
}
