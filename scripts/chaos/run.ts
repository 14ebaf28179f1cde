// `npm run chaos`: breaks everything that can break, by a seed, and shows that nothing was lost, doubled or reordered.
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { projectRoot } from '../support/fleet.ts'
import { runChaos, type ChaosResult } from './chaos.ts'

const usage = `npm run chaos -- [--minutes 3] [--seed n] [--sessions 30] [--workers 3] [--rate 24] [--ttl 6000] [--keep] [--json]`

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    sessions: { type: 'string', default: '30' },
    workers: { type: 'string', default: '3' },
    rate: { type: 'string', default: '24' },
    ttl: { type: 'string', default: '6000' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function numberOf(name: 'minutes' | 'seed' | 'sessions' | 'workers' | 'rate' | 'ttl', least: number, most: number): number {
  const value = Number(flags[name])
  if (Number.isFinite(value) && value >= least && value <= most) return value
  throw new Error(`--${name} must be a number from ${least} to ${most}.\n${usage}`)
}

async function main(): Promise<number> {
  if (flags.help) {
    console.log(usage)
    return 0
  }
  const dataDir = resolve(process.env['UJUMBE_DATA_DIR'] ?? resolve(projectRoot, 'data'), `chaos-${process.pid}`)
  const startedAt = performance.now()
  const progress = (line: string) => {
    if (!flags.json) console.log(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s  ${line}`)
  }
  const interrupted = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort())
  const seed = numberOf('seed', 0, 2 ** 32 - 1)
  progress(`Seed ${seed}`)
  const result = await runChaos({
    seed,
    minutes: numberOf('minutes', 0.1, 600),
    sessionCount: numberOf('sessions', 1, 1_000),
    workerCount: numberOf('workers', 1, 16),
    perSecond: numberOf('rate', 0.1, 1_000),
    leaseTtlMs: numberOf('ttl', 500, 60_000),
    dataDir,
    progress,
    signal: interrupted.signal,
  })
  report(result, dataDir)
  const isGood = result.violations.length === 0
  if (isGood && !flags.keep) await rm(dataDir, { recursive: true, force: true })
  return isGood ? 0 : 1
}

function report(result: ChaosResult, dataDir: string): void {
  if (flags.json) {
    console.log(JSON.stringify(result))
    return
  }
  const { violations, stories, seed } = result
  console.log(
    `\n  accepted ${result.accepted} · written by people ${result.inbound} · events ${result.events} · frames ${result.frames}` +
      ` · ${result.memoryMb} MB for traffic and checker`,
  )
  const faults = Object.entries(result.faults).map(([kind, { planned, hit }]) => `${kind} ${hit}/${planned}`)
  console.log(`\n  Faults that hit something, of those planned:\n    ${faults.toSorted().join(', ')}`)
  const paths = Object.entries(result.paths).map(([name, count]) => `${name} ${count}`)
  console.log(`\n  What the fleet went through:\n    ${paths.toSorted().join(', ')}`)
  if (violations.length === 0) {
    console.log(`\n  Seed ${seed}: nothing lost, doubled or reordered.\n`)
    return
  }
  const counts = Map.groupBy(violations, ({ rule }) => rule)
  const told = [...counts].map(([rule, each]) => `${rule} ${each.length}`).join(', ')
  console.error(`\n  Seed ${seed}: ${violations.length} violations (${told}). Logs and data are kept in ${dataDir}.\n`)
  for (const story of stories) console.error(`${story}\n`)
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(`The chaos run failed: ${error instanceof Error ? error.message : String(error)}`)
    process.exit(1)
  },
)
