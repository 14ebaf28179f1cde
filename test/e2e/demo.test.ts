// The first command of the README, as a stranger runs it.
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Summary } from '../../scripts/demo/report.ts'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '..', '..')
let dataDir = ''
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'uj-demo-'))
})
afterAll(() => rm(dataDir, { recursive: true, force: true }))

/** Processes of this machine whose command line or environment names the directory. */
async function processesOf(dir: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
  const texts = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      return environment.includes(dir) || command.includes(dir) ? `${pid} ${command.replaceAll('\0', ' ')}` : ''
    }),
  )
  return texts.filter((text) => text !== '')
}

test('the demo sends 200 messages once and in order, every webhook signed, and leaves nothing running', async () => {
  const { stdout } = await run(process.execPath, [join(root, 'scripts', 'demo.ts'), '--exit', '--json'], {
    cwd: root,
    env: { ...process.env, UJUMBE_DATA_DIR: dataDir, PORT: '23000', UJUMBE_SANDBOX_PORT: '23500' },
    timeout: 170_000,
  })
  const summary = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Summary
  expect(summary).toMatchObject({
    ok: true,
    faults: [],
    accepted: 200,
    onPhones: 200,
    sent: 200,
    delivered: 200,
    read: 200,
    duplicates: 0,
    orderViolations: 0,
  })
  expect(summary.replies).toBe(summary.repliesExpected)
  expect(summary.webhooks.invalidSignatures).toBe(0)
  expect(await processesOf(dataDir)).toEqual([])
})
