// One of the product's processes, run as a real process of the test's own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..', '..')

export interface WorkerProcess {
  readonly pid: number
  /** Every line it has printed. */
  readonly lines: string[]
  /** Sends the signal and resolves with the exit code when it is gone. */
  end(signal?: NodeJS.Signals): Promise<number | null>
}

/** Resolves when it has logged `process.started`. `env` is added to a minimal environment. */
export async function startWorkerProcess(name: string, env: Record<string, string>): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [join(root, 'workers', `${name}.ts`)], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const gone = once(child, 'exit')
  const started = new Promise<void>((settle, fail) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        lines.push(line)
        if (line.includes('process.started')) settle()
      })
    }
    child.once('error', fail)
    child.once('exit', (code) => fail(new Error(`${name} ended with ${code}:\n${lines.join('\n')}`)))
  })
  await started
  return {
    pid: child.pid ?? 0,
    lines,
    end: async (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      await gone
      return child.exitCode
    },
  }
}
