// A sandbox of the test's own, in this process or in one of its own, with a client of its control API.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { SandboxClient } from '../../scripts/support/sandbox-client.ts'
import { quietConsole } from '../../src/platform/quiet-console.ts'

export interface TestSandbox {
  /** `ws://127.0.0.1:<port>/ws/chat` */
  url: string
  controlUrl: string
  port: number
  client: SandboxClient
  /** Of the process it runs in. */
  processId: number
  close: () => Promise<void>
}

interface TestSandboxOptions {
  /** In a process of its own, as in the demo; then it keeps its state in `dataDir`. */
  process?: boolean
  dataDir?: string
  port?: number
}

/** Starts on a free port. Everything of it is gone after `close()`, but a `dataDir` that was given. */
export async function startTestSandbox(options: TestSandboxOptions = {}): Promise<TestSandbox> {
  return options.process ? startProcess(options) : startHere(options)
}

async function startHere({ dataDir, port = 0 }: TestSandboxOptions): Promise<TestSandbox> {
  const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' })
  quietConsole(log)
  const { startSandbox } = await import('../../src/sandbox/sandbox.ts')
  const sandbox = await startSandbox({ port, ...(dataDir ? { dataDir } : {}), log })
  const { url, controlUrl } = sandbox
  const client = new SandboxClient(controlUrl)
  return { url, controlUrl, port: sandbox.port, client, processId: process.pid, close: () => sandbox.close() }
}

async function startProcess({ dataDir, port = 0 }: TestSandboxOptions): Promise<TestSandbox> {
  const directory = dataDir ?? (await mkdtemp(join(tmpdir(), 'ujumbe-sandbox-')))
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../workers/sandbox.ts', import.meta.url))], {
    env: {
      ...process.env,
      NODE_ENV: 'test',
      LOG_LEVEL: 'info',
      UJUMBE_DATA_DIR: directory,
      UJUMBE_SANDBOX_PORT: String(port),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const close = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      const force = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await exited
      clearTimeout(force)
    }
    if (!dataDir) await rm(directory, { recursive: true, force: true })
  }
  const lines = createInterface({ input: child.stdout })
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  for await (const line of lines) {
    const started = parseStarted(line)
    if (!started) continue
    clearTimeout(timer)
    child.stdout.resume()
    const client = new SandboxClient(started.controlUrl)
    return { ...started, port: Number(new URL(started.controlUrl).port), client, processId: child.pid ?? 0, close }
  }
  clearTimeout(timer)
  await close()
  throw new Error('The sandbox process ended before it had started.')
}

function parseStarted(line: string): { url: string; controlUrl: string } | undefined {
  if (!line.includes('sandbox.started')) return undefined
  const { url, controlUrl } = JSON.parse(line) as { url: string; controlUrl: string }
  return { url, controlUrl }
}
