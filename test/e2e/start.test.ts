// `npm start` and `npm run dev` as people use them: start, Ctrl-C, nothing left; start again on the same data; restart on change.
import { appendFile, readFile, readdir, mkdtemp, rm, stat, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freePort } from '../../scripts/support/ports.ts'
import { startScript, type Script } from '../support/script.ts'
import { waitFor } from '../support/wait.ts'

const root = resolve(import.meta.dirname, '..', '..')
let dataDir: string
let port: number
let script: Script | undefined
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'uj-start-'))
  port = await freePort(30_000 + Math.floor(Math.random() * 10_000))
})
afterEach(async () => {
  for (const { pid } of await processes()) process.kill(pid, 'SIGKILL')
  await rm(dataDir, { recursive: true, force: true })
})

/** All that were started for this test: they carry its data directory in their environment, or, as Redis, in their title. */
async function processes(): Promise<{ pid: number; command: string }[]> {
  const found: { pid: number; command: string }[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue
    const [environment, command] = await Promise.all(
      ['environ', 'cmdline'].map((file) => readFile(`/proc/${name}/${file}`, 'latin1').catch(() => '')),
    )
    if (environment?.includes(dataDir) || command?.includes(dataDir))
      found.push({ pid: Number(name), command: (command ?? '').replaceAll('\0', ' ') })
  }
  return found
}

function start(name: 'start' | 'dev', env: Record<string, string> = {}): Script {
  script = startScript(name, [], { UJUMBE_DATA_DIR: dataDir, PORT: String(port), ...env })
  return script
}

const ready = async () => {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(() => null)
  return answer?.ok === true
}

async function stoppedInOrder(directory: string): Promise<string[]> {
  const lines = await Promise.all(
    ['api', 'session-worker', 'webhook-worker', 'scheduler'].map(async (name) =>
      (await readFile(join(directory, 'logs', `${name}.log`), 'utf8'))
        .split('\n')
        .filter((line) => line.includes('"process.stopped"'))
        .map((line) => ({ name, at: (JSON.parse(line) as { time: string }).time })),
    ),
  )
  return lines
    .flat()
    .toSorted((a, b) => a.at.localeCompare(b.at))
    .map(({ name }) => name)
}

test('starts, stops in order on Ctrl-C, leaves nothing, and starts again on what it kept', { timeout: 170_000 }, async () => {
  const first = start('start')
  await waitFor('it is ready', ready, 60_000, 250)
  const key = /uj_admin_[\w-]+/.exec(first.printed())?.[0] ?? ''
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const made = await fetch(`http://127.0.0.1:${port}/v1/sessions`, { method: 'POST', headers, body: '{"displayName": "Kept"}' })
  expect(made.status, first.printed()).toBe(201)
  // The API is ready before PM2 has started the last of the workers.
  await waitFor(
    'both workers',
    async () => {
      const log = await readFile(join(dataDir, 'logs', 'session-worker.log'), 'utf8')
      return log.split('"process.started"').length === 3
    },
    30_000,
    100,
  )
  const pm2 = startScript('pm2', ['jlist', '--silent'], { UJUMBE_DATA_DIR: dataDir })
  expect(await pm2.ended, pm2.printed()).toBe(0)
  const listed = (JSON.parse(pm2.printed()) as { name: string; pid: number }[]).map(({ name, pid }) => ({ name, pid }))
  expect(listed.map(({ name }) => name)).toContain('scheduler')
  const server = (await processes()).find(({ command }) => command.includes('redis-server'))
  expect(listed).toContainEqual({ name: 'redis', pid: server?.pid })
  first.child.kill('SIGINT')
  expect(await first.ended, first.printed()).toBe(0)
  expect(await processes()).toEqual([])
  expect(await stoppedInOrder(dataDir)).toEqual(['api', 'session-worker', 'session-worker', 'webhook-worker', 'scheduler'])
  for (const name of ['api', 'session-worker', 'webhook-worker', 'scheduler']) {
    expect(await readFile(join(dataDir, 'logs', `${name}.log`), 'utf8'), name).not.toMatch(/"level":"(error|fatal)"/)
  }

  const apiLog = join(dataDir, 'logs', 'api.log')
  await appendFile(apiLog, `${'-'.repeat(1024 ** 2)}\n`)
  const second = start('start', { UJUMBE_LOG_FILE_MEGABYTES: '1' })
  await waitFor('it is ready again', ready, 60_000, 250)
  await waitFor('a log that has grown is put aside', () => stat(`${apiLog}.1`).catch(() => undefined), 30_000, 250)
  const answer = await fetch(`http://127.0.0.1:${port}/v1/sessions`, { headers })
  expect(((await answer.json()) as { data: { displayName: string }[] }).data).toMatchObject([{ displayName: 'Kept' }])
  second.child.kill('SIGTERM')
  expect(await second.ended, second.printed()).toBe(0)
  expect(await processes()).toEqual([])
  const lastLines = (await readFile(apiLog, 'utf8')).trim().split('\n').slice(-3)
  expect(lastLines.map((line) => JSON.parse(line) as object)).toContainEqual(expect.objectContaining({ msg: 'process.stopped' }))
})

test('a configuration that cannot work is refused in one sentence', { timeout: 60_000 }, async () => {
  const wrong = start('start', { UJUMBE_LEASE_TTL_MS: 'soon' })
  expect(await wrong.ended).toBe(1)
  expect(wrong.printed()).toContain('UJUMBE_LEASE_TTL_MS')
  expect(wrong.printed()).not.toMatch(/\n\s+at /)
  expect(await processes()).toEqual([])
})

test('development restarts the processes when a file changes, and leaves nothing', { timeout: 150_000 }, async () => {
  const dev = start('dev', { UJUMBE_SANDBOX_PORT: String(await freePort(port + 1)), UJUMBE_SESSION_WORKERS: '1' })
  await waitFor('it is ready', () => dev.printed().includes('Processes restart'), 90_000, 250)
  const workers = async () =>
    (await processes()).filter(({ command }) => command.includes('webhook-worker')).map(({ pid }) => pid)
  const before = await waitFor('the webhook worker', async () => (await workers())[0])
  // Touched, not changed.
  await utimes(join(root, 'workers', 'webhook-worker.ts'), new Date(), new Date())
  await waitFor('another one', async () => (await workers()).some((pid) => pid !== before), 60_000, 250)
  dev.child.kill('SIGINT')
  expect(await dev.ended, dev.printed().slice(-2_000)).toBe(0)
  expect(await processes()).toEqual([])
})
