// Generated documentation stands as the code would write it today.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { generatedFiles } from '../../scripts/support/generated-docs.ts'
import { environment } from '../../src/platform/config.ts'

const root = join(import.meta.dirname, '..', '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

test.each(generatedFiles)('$path is up to date (else: npm run docs)', ({ path, render }) => {
  expect(read(path)).toBe(render(() => read(path)))
})

test('every variable is described', () => {
  const silent = Object.entries(environment.shape).filter(
    ([, schema]) => (schema as { description?: string }).description === undefined,
  )
  expect(silent.map(([name]) => name)).toEqual([])
})

test('no secret has a default that is written down', () => {
  expect(read('.env.example')).toMatch(/^#UJUMBE_ADMIN_KEY=$/m)
  expect(read('.env.example')).toMatch(/^#UJUMBE_CREDENTIALS_KEY=$/m)
})
