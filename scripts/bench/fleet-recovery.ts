// How fast sessions come back: workers killed, ended and started, WhatsApp away, sockets deaf. Prints one JSON object.
// `node scripts/bench/fleet-recovery.ts [--sessions 300] [--workers 3] [--runs 5] [--rate 20] [--ttl 6000] [--only takeover,…]`
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measures, type StartFleet } from './recovery/measures.ts'
import { endLeftovers } from './rig/leftovers.ts'
import { describeMachine } from './rig/machine.ts'
import { provision } from './rig/provision.ts'
import { startWorkerFleet } from './rig/worker-fleet.ts'

const { values: flags } = parseArgs({
  options: {
    sessions: { type: 'string', default: '300' },
    workers: { type: 'string', default: '3' },
    runs: { type: 'string', default: '5' },
    rate: { type: 'string', default: '20' },
    ttl: { type: 'string', default: '6000' },
    only: { type: 'string' },
  },
})
const settings = {
  sessionCount: Number(flags.sessions),
  workerCount: Number(flags.workers),
  runCount: Number(flags.runs),
  ttlMs: Number(flags.ttl),
}
const messagesPerSecond = Number(flags.rate)

async function main(): Promise<void> {
  const wanted = Object.keys(measures).filter((name) => flags.only === undefined || flags.only.split(',').includes(name))
  if (wanted.length === 0) throw new Error(`no such measure; there are ${Object.keys(measures).join(', ')}.`)
  const dir = await mkdtemp(join(tmpdir(), 'uj-recovery-'))
  const say = (line: string) => process.stderr.write(`  ${line}\n`)
  const results: Record<string, unknown> = {}
  const { sessionCount, ttlMs } = settings
  try {
    const provisioned = await provision(dir, sessionCount, say)
    for (const name of wanted) {
      say(name)
      const start: StartFleet = ({ sessions = sessionCount, isLinked = false } = {}) =>
        startWorkerFleet({ provisioned, dir: join(dir, name), sessionCount: sessions, messagesPerSecond, ttlMs, isLinked })
      results[name] = await measures[name]?.(start, settings).catch((error: unknown) => ({ failure: String(error) }))
      say(JSON.stringify(results[name]))
    }
  } finally {
    endLeftovers()
    await rm(dir, { recursive: true, force: true, maxRetries: 3 })
  }
  process.stdout.write(`${JSON.stringify({ machine: describeMachine(), settings, messagesPerSecond, results }, null, 2)}\n`)
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  },
)
