// Keys and words stay inside: what a whole process prints while it pairs, sends, receives and closes Signal sessions.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestSandbox, type TestSandbox } from '../support/sandbox.ts'

let sandbox: TestSandbox
beforeAll(async () => {
  sandbox = await startTestSandbox()
})
afterAll(() => sandbox.close())

test('libsignal closes sessions and nothing of a key, a word or a dump reaches stdout or stderr', async () => {
  const [business, friend] = ['254733000001', '254733000002']
  for (const phoneNumber of [business, friend]) await sandbox.client.addPhone({ phoneNumber })
  const script = fileURLToPath(new URL('../support/noisy-session.ts', import.meta.url))
  const child = spawn(process.execPath, [script, sandbox.url, sandbox.controlUrl, business, friend], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  const timer = setTimeout(() => child.kill('SIGKILL'), 40_000)
  let report: { closedSessions: number; secrets: string[]; inbound: number } | undefined
  child.on('message', (message) => (report = message as typeof report))
  await once(child, 'close')
  clearTimeout(timer)
  expect(report, printed.slice(-2_000)).toBeDefined()
  expect(report?.closedSessions).toBeGreaterThan(0)
  expect(report?.secrets.length).toBeGreaterThan(20)
  expect(report?.inbound).toBe(1)
  expect(report?.secrets.filter((secret) => printed.includes(secret))).toEqual([])
  for (const word of ['Closing session', 'SessionEntry', 'privKey', 'ephemeralKeyPair', '<Buffer', 'siri-ya', business, friend]) {
    expect(printed).not.toContain(word)
  }
})
