// The operator's commands, run as real processes of the test's own.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..', '..')

export interface Script {
  readonly child: ChildProcess
  /** Everything it has printed so far. */
  printed(): string
  /** Its exit code; null when a signal ended it. */
  readonly ended: Promise<number | null>
}

/** Starts `scripts/<name>.ts`. `env` is added to a minimal environment. */
export function startScript(name: string, args: string[], env: Record<string, string>): Script {
  const child = spawn(process.execPath, [join(root, 'scripts', `${name}.ts`), ...args], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return { child, printed: () => text, ended }
}
