// The admin key: configured, or made once on this machine and readable by its owner alone.
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ensureAdminKey } from '../../src/platform/local-secrets.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'uj-secrets-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

test('is made once, with mode 0600, and then read', () => {
  const adminKeyPath = join(dir, 'data', 'admin-key')
  const made = ensureAdminKey({ adminKeyPath })
  expect(made).toEqual({ key: expect.stringMatching(/^uj_admin_[\w-]{43}$/), isNew: true })
  expect(statSync(adminKeyPath).mode & 0o777).toBe(0o600)
  expect(ensureAdminKey({ adminKeyPath })).toEqual({ key: made.key, isNew: false })
  expect(readdirSync(join(dir, 'data'))).toEqual(['admin-key'])
})

test('a configured key is used and leaves no file', () => {
  const adminKeyPath = join(dir, 'admin-key')
  expect(ensureAdminKey({ adminKey: 'uj_admin_x', adminKeyPath })).toEqual({ key: 'uj_admin_x', isNew: false })
  expect(existsSync(adminKeyPath)).toBe(false)
})

test('a file with something else is refused in one sentence, without its content', () => {
  const adminKeyPath = join(dir, 'admin-key')
  writeFileSync(adminKeyPath, 'hunter2')
  expect(() => ensureAdminKey({ adminKeyPath })).toThrow(/does not hold an admin key/)
  expect(() => ensureAdminKey({ adminKeyPath })).not.toThrow(/hunter2/)
})

test('processes that start together agree', async () => {
  const adminKeyPath = join(dir, 'admin-key')
  const module = new URL('../../src/platform/local-secrets.ts', import.meta.url).href
  const script = `import { ensureAdminKey } from ${JSON.stringify(module)}; process.stdout.write(ensureAdminKey({ adminKeyPath: ${JSON.stringify(adminKeyPath)} }).key)`
  const keys = await Promise.all(
    [1, 2, 3].map(async () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
      let text = ''
      child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
      await once(child, 'close')
      return text
    }),
  )
  expect(new Set(keys)).toEqual(new Set([ensureAdminKey({ adminKeyPath }).key]))
})
