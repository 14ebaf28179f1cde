// The failure table of docs/architecture.md: every row names tests, and they exist.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..', '..')
const text = readFileSync(join(root, 'docs', 'architecture.md'), 'utf8')
const section = text.split('\n## ').find((part) => part.startsWith('When something fails')) ?? ''
const rows = section
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| what fails') && !line.startsWith('| ---'))

test('there is a table', () => expect(rows.length).toBeGreaterThan(20))

test.each(rows.map((row) => row.split('|').map((cell) => cell.trim())))('%s %s', (_, _what, _happens, tests) => {
  const names = [...(tests ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')
  expect(names.length).toBeGreaterThan(0)
  for (const name of names) expect(existsSync(join(root, 'test', `${name}.test.ts`)), name).toBe(true)
})
