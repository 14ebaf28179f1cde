// A session worker: claims sessions, holds their sockets and drains their queues until it is told to stop.
import { loadConfig } from '../src/platform/config.ts'
import { runProcess } from '../src/platform/lifecycle.ts'
import { createLog } from '../src/platform/log.ts'
import { quietConsole } from '../src/platform/quiet-console.ts'

// Baileys makes an error with a stack for every frame it writes.
Error.stackTraceLimit = 1

/** Below the process's own deadline of 15 s, with what closing takes after it. */
const handOverMs = 10_000

const config = loadConfig()
const log = createLog({ process: 'session-worker', level: config.logLevel, pretty: process.stdout.isTTY })
// Before anything of Baileys is loaded: it brings libsignal, which prints private keys.
quietConsole(log)
const { isBaileysFrameError } = await import('../src/whatsapp/library-faults.ts')
const { startFleet } = await import('../src/fleet/start-fleet.ts')

const forgives = (reason: unknown): boolean => {
  if (!isBaileysFrameError(reason)) return false
  log.warn({ err: reason }, 'baileys.rejection_forgiven')
  return true
}

await runProcess({ name: 'session-worker', log, forgives }, async (life) => {
  const fleet = await startFleet(config, log)
  life.onStop('fleet', () => fleet.stop(handOverMs))
})
