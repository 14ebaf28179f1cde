// The API as a process: what it makes at its first start, several on one port, and its end under a signal.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { request, type IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

const entry = join(import.meta.dirname, '..', '..', 'workers', 'api.ts')
const children: ChildProcess[] = []
let redis: TestRedis
let dataDir: string

beforeAll(async () => {
  redis = await startTestRedis()
  dataDir = join(mkdtempSync(join(tmpdir(), 'uj-api-')), 'data')
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await redis.close()
  rmSync(join(dataDir, '..'), { recursive: true, force: true })
})

function start(env: Record<string, string>): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, [entry], {
    env: { PATH: process.env['PATH'] ?? '', UJUMBE_DATA_DIR: dataDir, REDIS_URL: `unix://${redis.socketPath}`, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return { child, output: () => text }
}

const portIn = (text: string) => Number(/"port":(\d+),"msg":"http.listening"/.exec(text)?.[1])
const adminKey = () => readFileSync(join(dataDir, 'admin-key'), 'utf8').trim()

test('it makes its admin key, serves, and ends with status 0 when told, an answer under way included', async () => {
  const { child, output } = start({ PORT: '0' })
  const port = await waitFor('it listens', () => portIn(output()) || undefined)
  expect(statSync(join(dataDir, 'admin-key')).mode & 0o777).toBe(0o600)
  const headers = { authorization: `Bearer ${adminKey()}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ displayName: 'Process' })
  const made = await fetch(`http://127.0.0.1:${port}/v1/sessions`, { method: 'POST', headers, body })
  const session = (await made.json()) as { id: string; apiKey: string }

  // Waits for a QR code that nobody brings; "100 Continue" says that the server has it.
  const waiting = request(`http://127.0.0.1:${port}/v1/qr`, {
    headers: { authorization: `Bearer ${session.apiKey}`, expect: '100-continue' },
  })
  waiting.end()
  await once(waiting, 'continue')
  const ended = once(child, 'exit')
  const answered = once(waiting, 'response') as Promise<[IncomingMessage]>
  child.kill('SIGTERM')
  const [answer] = await answered
  answer.resume()
  expect(answer.statusCode).toBe(409)
  expect(await ended).toEqual([0, null])
  expect(output()).toContain('"msg":"process.stopped"')
  expect(output()).not.toContain(adminKey())
  expect(output()).not.toContain(session.apiKey)
})

test('several share one port, and the others go on when one ends', async () => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  await new Promise((resolve) => probe.close(resolve))
  const env = { PORT: String(port), UJUMBE_API_INSTANCES: '2' }
  const [first, second] = [start(env), start(env)]
  await waitFor('both listen', () => [first, second].every(({ output }) => portIn(output()) === port))
  const ended = once(first.child, 'exit')
  first.child.kill('SIGINT')
  expect(await ended).toEqual([0, null])
  const alive = await fetch(`http://127.0.0.1:${port}/readyz`)
  expect(await alive.json()).toEqual({ status: 'ok', redis: 'up', store: 'up' })
  const gone = once(second.child, 'exit')
  second.child.kill('SIGTERM')
  expect(await gone).toEqual([0, null])
})

test('a port that is taken ends it with status 1', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as { port: number }
  const { child, output } = start({ PORT: String(port) })
  const [code] = (await once(child, 'exit')) as [number]
  expect(code).toBe(1)
  expect(output()).toContain('EADDRINUSE')
  await new Promise((resolve) => other.close(resolve))
})
