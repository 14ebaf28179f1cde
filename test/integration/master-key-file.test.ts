// The file of master keys while processes that change it are killed: no key is lost, and no copy of the keys stays behind.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { addMasterKey, forgetOldMasterKeys, lockKeyFile } from '../../src/store/master-key-file.ts'

let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uj-keys-'))
  path = join(directory, 'keys')
  await writeFile(path, newKey(), { mode: 0o600 })
})
afterEach(() => rm(directory, { recursive: true }))

const newKey = () => `${randomBytes(32).toString('base64')}\n`
const keysInFile = async () => (await readFile(path, 'utf8')).trim().split('\n')

/** A process that has the module's functions; resolves with the signal that ended it. */
async function run(source: string): Promise<string | null> {
  const module = resolve(import.meta.dirname, '../../src/store/master-key-file.ts')
  const script = `import * as keys from ${JSON.stringify(module)}
    const path = ${JSON.stringify(path)}
    ${source}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return signal
}

test('of many that each add a key and are killed with the lock in hand, no key is lost', { timeout: 60_000 }, async () => {
  const count = 12
  const addAndDie = `
    for (;;) {
      try { keys.lockKeyFile(path); break } catch (error) { if (error.code !== 'configuration') throw error }
      await new Promise((again) => setTimeout(again, 1))
    }
    keys.addMasterKey(path)
    process.kill(process.pid, 'SIGKILL')`
  const ends = await Promise.all(Array.from({ length: count }, () => run(addAndDie)))
  expect(new Set(ends)).toEqual(new Set(['SIGKILL']))
  expect(new Set(await keysInFile()).size).toBe(count + 1)
})

test('the lock is one process at a time, free after it, and says who to wait for', async () => {
  const unlock = lockKeyFile(path)
  expect(() => lockKeyFile(path)).toThrow(/Another rotation is running/)
  unlock()
  lockKeyFile(path)()
  expect((await stat(path)).mode & 0o777).toBe(0o600)
})

test('the lock of an older version, which holds the id of its process, ends with that', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1_000)'])
  await writeFile(`${path}.lock`, String(child.pid))
  expect(() => lockKeyFile(path)).toThrow(/Another rotation is running/)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const unlock = lockKeyFile(path)
  expect(() => lockKeyFile(path)).toThrow(/Another rotation is running/)
  unlock()
})

test('copies of the keys that killed processes left are removed with the next change, and nothing else is', async () => {
  const left = ['keys.new', 'keys.4711.new', 'keys.4711.0a1b2c3d']
  const others = ['keys.old', 'keys.new.txt', 'other.4711.new', 'akeys.new']
  for (const name of [...left, ...others]) await writeFile(join(directory, name), newKey())
  const unlock = lockKeyFile(path)
  addMasterKey(path)
  expect(forgetOldMasterKeys(path)).toBe(1)
  unlock()
  expect(await keysInFile()).toHaveLength(1)
  const names = (await readdir(directory)).filter((name) => !name.includes('lock'))
  expect(new Set(names)).toEqual(new Set(['keys', ...others]))
})
