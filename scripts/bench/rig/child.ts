// One process of a measurement: started with a channel on which it says that it is ready, stopped by its own id.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { basename, join } from 'node:path'
import { endsWithUs } from './leftovers.ts'

export interface Child {
  process: ChildProcess
  pid: number
  stop(): Promise<void>
}

const readyMs = 30_000
const stopMs = 20_000

interface ChildOptions {
  dir: string
  env?: Record<string, string>
  /** For Node itself, like `--cpu-prof`. */
  execArgv?: string[]
}

/** What it prints goes to a file below `dir`. @throws Error when it is not ready in time */
export async function startChild(script: string, { dir, env = {}, execArgv = [] }: ChildOptions): Promise<Child> {
  mkdirSync(join(dir, 'logs'), { recursive: true })
  const log = openSync(join(dir, 'logs', `${basename(script, '.ts')}.log`), 'a')
  const child = fork(script, { stdio: ['ignore', log, log, 'ipc'], env: { ...process.env, ...env }, execArgv })
  closeSync(log)
  child.once('exit', endsWithUs(child.pid ?? 0))
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    const force = setTimeout(() => child.kill('SIGKILL'), stopMs)
    await gone
    clearTimeout(force)
  }
  try {
    await answered(child, 'ready', readyMs)
  } catch (error) {
    await stop()
    throw error
  }
  return { process: child, pid: child.pid ?? 0, stop }
}

/** Waits for one message of that text. @throws Error when the process ends before, or in vain */
export async function answered(child: ChildProcess, text: string, withinMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onMessage = (message: unknown) => {
    if (message === text) resolve()
  }
  const onExit = (code: number | null) => reject(new Error(`the process ended (${code}) before it said "${text}"`))
  const timer = setTimeout(() => reject(new Error(`the process did not say "${text}" within ${withinMs} ms`)), withinMs)
  child.on('message', onMessage)
  child.once('exit', onExit)
  try {
    await promise
  } finally {
    clearTimeout(timer)
    child.off('message', onMessage)
    child.off('exit', onExit)
  }
}
