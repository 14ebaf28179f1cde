// Log files that PM2 appends to while they are put aside: bounded, in order, and nothing of them twice.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keepLogs } from '../../src/platform/keep-logs.ts'
import { waitFor } from '../support/wait.ts'
import { silentLog } from '../support/webhooks.ts'

let directory: string
let writer: ChildProcess | undefined
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uj-logs-'))
})
afterEach(async () => {
  writer?.kill('SIGKILL')
  writer = undefined
  await rm(directory, { recursive: true })
})

const path = (suffix = '') => join(directory, `api.log${suffix}`)
const keep = (maxBytes: number) => keepLogs({ directories: [directory, '/nowhere'], maxBytes, log: silentLog, everyMs: 20 })
const newest = ['.1', '.2', '.3', '.4']

/** As PM2 does: the file is opened once, and each chunk appended. */
const appending = (lines: number) => `
  const out = require('node:fs').createWriteStream(${JSON.stringify(path())}, { flags: 'a' })
  let n = 0
  const write = () => {
    for (let i = 0; i < 20 && n < ${lines}; i += 1) out.write(String(n += 1).padStart(99, ' ') + '\\n')
    if (n < ${lines}) setTimeout(write, 1)
    else out.end()
  }
  write()`

test('while a process writes, what is put aside stands in order and nothing of it twice', { timeout: 60_000 }, async () => {
  const logs = keep(200_000)
  writer = spawn(process.execPath, ['-e', appending(8_000)], { stdio: 'inherit' })
  await once(writer, 'exit')
  await waitFor('it was put aside', () => stat(path('.1')).catch(() => undefined))
  await logs.close()
  const texts = await Promise.all([...newest.toReversed(), ''].map((suffix) => readFile(path(suffix), 'utf8').catch(() => '')))
  // One line at each change may be lost in part.
  const whole = texts.flatMap((text) => text.split('\n').filter((line) => /^ *\d+$/.test(line) && line.length === 99))
  const numbers = whole.map(Number)
  expect(numbers.length).toBeGreaterThan(7_900)
  expect(numbers.every((n, i) => i === 0 || n > (numbers[i - 1] ?? 0))).toBe(true)
})

test('of several that look at the same file one puts it aside', async () => {
  await writeFile(path('.1'), 'before')
  await writeFile(path(), 'x'.repeat(1_000_000))
  const several = Array.from({ length: 8 }, () => keep(1_000))
  await waitFor('it is empty', async () => (await stat(path())).size === 0)
  await Promise.all(several.map((each) => each.close()))
  expect(new Set(await readdir(directory))).toEqual(new Set(['', '.1', '.2'].map((suffix) => `api.log${suffix}`)))
  expect([(await stat(path('.1'))).size, (await stat(path('.2'))).size]).toEqual([1_000_000, 6])
})

test('the newest four are kept, and the file goes on from nothing', async () => {
  const logs = keep(1_000)
  await appendFile(path(), 'small\n')
  for (let n = 1; n <= 6; n += 1) {
    await appendFile(path(), `${n}`.repeat(1_000))
    await waitFor('it is put aside', async () => (await readFile(path('.1'), 'utf8').catch(() => '')).endsWith(`${n}`))
    await waitFor('it is empty', async () => (await stat(path())).size === 0)
  }
  await logs.close()
  expect(new Set(await readdir(directory))).toEqual(new Set(['', ...newest].map((suffix) => `api.log${suffix}`)))
  const kept = await Promise.all(newest.map((suffix) => readFile(path(suffix), 'utf8')))
  expect(kept).toEqual([6, 5, 4, 3].map((n) => `${n}`.repeat(1_000)))
})

test('what a process that died left half copied is done again; what another is copying is left to it', async () => {
  await writeFile(path(), 'whole\n')
  await writeFile(path('.part'), 'who')
  const logs = keep(1)
  const first = await stat(path('.part'))
  await logs.close()
  expect([await readFile(path(), 'utf8'), first.size]).toEqual(['whole\n', 3])
  await utimes(path('.part'), 0, 0)
  const again = keep(1)
  await waitFor('it is put aside', () => readFile(path('.1'), 'utf8').catch(() => undefined))
  await again.close()
  expect(await readdir(directory)).toEqual(['api.log', 'api.log.1'])
  expect(await readFile(path('.1'), 'utf8')).toBe('whole\n')
})

test('with a limit of 0 nothing is touched', async () => {
  await writeFile(path(), 'whole\n')
  await keep(0).close()
  expect(await readdir(directory)).toEqual(['api.log'])
})
