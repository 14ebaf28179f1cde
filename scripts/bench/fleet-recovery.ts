// How fast sessions come back: workers killed, ended and started, WhatsApp away, sockets deaf. Prints one JSON object;
// `--write` also puts the table into docs/benchmarks.md.
// `node scripts/bench/fleet-recovery.ts [--sessions 300] [--workers 3] [--runs 5] [--rate 20] [--ttl 6000] [--only takeover,…] [--write]`
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadConfig } from '../../src/platform/config.ts'
import { projectRoot } from '../support/fleet.ts'
import { between } from '../support/generated-docs.ts'
import { measures, type StartFleet } from './recovery/measures.ts'
import { recoveryTable, type RecoveryReport } from './recovery/report.ts'
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
    write: { type: 'boolean' },
  },
})
const settings = {
  sessionCount: Number(flags.sessions),
  workerCount: Number(flags.workers),
  runCount: Number(flags.runs),
  ttlMs: Number(flags.ttl),
}
const messagesPerSecond = Number(flags.rate)
const opensPerSecond = loadConfig({}).socketOpensPerSecond

async function main(): Promise<void> {
  const wanted = Object.keys(measures).filter((name) => flags.only === undefined || flags.only.split(',').includes(name))
  if (wanted.length === 0) throw new Error(`no such measure; there are ${Object.keys(measures).join(', ')}.`)
  const dir = await mkdtemp(join(tmpdir(), 'uj-recovery-'))
  const say = (line: string) => process.stderr.write(`  ${line}\n`)
  const results: RecoveryReport['results'] = {}
  const at = new Date().toISOString()
  const loadAtStart = Math.round((loadavg()[0] ?? 0) * 10) / 10
  const { sessionCount, ttlMs } = settings
  try {
    const provisioned = await provision(dir, sessionCount, say)
    for (const name of wanted) {
      say(name)
      const start: StartFleet = ({ sessions = sessionCount, isLinked = false } = {}) =>
        startWorkerFleet({ provisioned, dir: join(dir, name), sessionCount: sessions, messagesPerSecond, ttlMs, isLinked })
      const measured = measures[name]?.(start, settings) ?? Promise.resolve({})
      results[name] = await measured.catch((error: unknown) => ({ failure: String(error) }))
      say(JSON.stringify(results[name]))
    }
  } finally {
    endLeftovers()
    await rm(dir, { recursive: true, force: true, maxRetries: 3 })
  }
  const report = { machine: describeMachine(), settings, messagesPerSecond, opensPerSecond, at, loadAtStart, results }
  if (flags.write) {
    const path = join(projectRoot, 'docs', 'benchmarks.md')
    await writeFile(path, between(await readFile(path, 'utf8'), 'recovery', recoveryTable(report)))
  }
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  },
)
