// The operator's guide names every alert, and no other.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'

const read = (path: string) => readFileSync(resolve(import.meta.dirname, '..', '..', path), 'utf8')

test('docs/operations.md says what to do at each alert of ops/alerts.yaml', () => {
  const alerts = [...read('ops/alerts.yaml').matchAll(/- alert: (\w+)/g)].map((match) => match[1])
  const explained = [...read('docs/operations.md').matchAll(/^\| (Ujumbe\w+) \|/gm)].map((match) => match[1])
  expect(alerts.length).toBeGreaterThan(15)
  expect(explained).toEqual(alerts)
})
