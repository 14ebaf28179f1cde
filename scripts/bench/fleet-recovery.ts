// How fast sessions come back: workers killed, ended and started, WhatsApp away, sockets deaf. Prints one JSON object.
// `node scripts/bench/fleet-recovery.ts [--sessions 300] [--workers 3] [--runs 5] [--rate 20] [--ttl 6000] [--only takeover,…]`
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { endLeftovers } from './rig/leftovers.ts'
import { describeMachine } from './rig/machine.ts'
import { provision, type Provisioned } from './rig/provision.ts'
import { startWorkerFleet, type WorkerFleet } from './rig/worker-fleet.ts'

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
const sessionCount = Number(flags.sessions)
const workerCount = Number(flags.workers)
const runCount = Number(flags.runs)
const busySessions = 20
const loneSessions = Math.min(50, sessionCount)

type Result = Record<string, unknown>
type Measure = (start: (sessions?: number) => Promise<WorkerFleet>) => Promise<Result>

const measures: Record<string, Measure> = {
  'cold-start': async (start) => {
    const fleet = await start()
    const at = Date.now()
    await Promise.all(Array.from({ length: workerCount }, () => fleet.startWorker()))
    await fleet.allConnected()
    const tookMs = Date.now() - at
    const opened = (await fleet.linesSince(at, ['socket.connected'])).map((line) => line.at)
    await fleet.close()
    return { tookMs, mostOpensInOneSecond: mostWithin(opened, 1_000) }
  },
  /** A neighbour on the machine sees it die. */
  takeover: (start) => takeovers(start, () => ({})),
  /** Each on what counts as another machine: only the time decides. */
  'takeover-by-ttl': (start) => takeovers(start, (index) => ({ UJUMBE_HOST_ID: `machine-${index}` })),
  /** Started again at once, as PM2 does. */
  'lone-restart': async (start) => {
    const fleet = await start(loneSessions)
    const gaps: number[] = []
    let worker = await fleet.startWorker()
    for (let run = 0; run < runCount; run += 1) {
      await fleet.allConnected()
      const at = Date.now()
      await fleet.kill(worker)
      worker = await fleet.startWorker()
      gaps.push(...(await untilConnected(fleet, at, loneSessions)))
    }
    await fleet.close()
    return { sessions: loneSessions, ...spread(gaps) }
  },
  /** From the release of its lease, which follows the close of its socket, to connected elsewhere. */
  handover: async (start) => {
    const fleet = await started(start, () => ({}))
    const before = (await fleet.sandbox.client.stats()).duplicates
    const gaps: number[] = []
    for (let run = 0; run < runCount; run += 1) {
      const at = Date.now()
      const [leaver] = fleet.workers.splice(0, 1)
      if (!leaver) break
      await leaver.stop()
      await fleet.allConnected()
      gaps.push(...(await gapsOfReleased(fleet, at, leaver.pid)))
      await fleet.startWorker()
      await settled(fleet)
    }
    const repeatedFrames = (await fleet.sandbox.client.stats()).duplicates - before
    await fleet.close()
    return { ...spread(gaps), repeatedFrames }
  },
  outage: async (start) => {
    const fleet = await started(start, () => ({}))
    const backAfterMs: Record<string, number> = {}
    for (const seconds of [1, 5, 30]) {
      await fleet.sandbox.client.fault({ kind: 'refuse_connections' })
      await fleet.sandbox.client.fault({ kind: 'reset' })
      await delay(seconds * 1_000)
      await fleet.sandbox.client.clearFaults()
      const at = Date.now()
      await untilConnected(fleet, at, sessionCount)
      backAfterMs[`${seconds} s`] = Date.now() - at
      await settled(fleet)
    }
    await fleet.close()
    return { backAfterMs }
  },
  /** Frames swallowed, no close. */
  'half-open': async (start) => {
    const fleet = await started(start, () => ({}))
    const at = Date.now()
    const sessions = Array.from({ length: Math.min(busySessions, sessionCount) }, (_, index) => String(254_720_000_000 + index))
    await fleet.sandbox.client.fault({ kind: 'stall', sessions })
    let noticed: number[] = []
    while (noticed.length < sessions.length && Date.now() - at < 60_000) {
      await delay(250)
      const first = new Map<string, number>()
      for (const { sessionId, at: closedAt } of await fleet.linesSince(at, ['socket.closed'])) {
        if (!first.has(sessionId)) first.set(sessionId, closedAt - at)
      }
      noticed = [...first.values()]
    }
    await fleet.sandbox.client.clearFaults()
    await fleet.close()
    return { sessions: sessions.length, ...spread(noticed) }
  },
}

async function started(start: Parameters<Measure>[0], envOf: (index: number) => Record<string, string>): Promise<WorkerFleet> {
  const fleet = await start()
  await Promise.all(Array.from({ length: workerCount }, (_, index) => fleet.startWorker(envOf(index))))
  await settled(fleet)
  return fleet
}

async function settled(fleet: WorkerFleet): Promise<void> {
  await fleet.allConnected()
  await fleet.even()
  await fleet.allConnected()
}

async function takeovers(start: Parameters<Measure>[0], envOf: (index: number) => Record<string, string>): Promise<Result> {
  const fleet = await started(start, envOf)
  const gaps: number[] = []
  for (let run = 0; run < runCount; run += 1) {
    const [victim] = fleet.workers
    if (!victim) break
    const held = await fleet.heldBy(victim)
    const at = Date.now()
    await fleet.kill(victim)
    gaps.push(...(await untilConnected(fleet, at, held)))
    await fleet.startWorker(envOf(workerCount + run))
    await settled(fleet)
  }
  await fleet.close()
  return spread(gaps)
}

/** Milliseconds from `at` until each session that lost its socket was connected again; waits for all, and for `least` at least. */
async function untilConnected(fleet: WorkerFleet, at: number, least: number): Promise<number[]> {
  const back = new Map<string, number>()
  const end = Date.now() + 120_000
  for (;;) {
    await fleet.allConnected()
    for (const { sessionId, status, at: changedAt } of await fleet.linesSince(at, ['session.changed'])) {
      if (status === 'connected' && !back.has(sessionId)) back.set(sessionId, changedAt - at)
    }
    if (back.size >= least) return [...back.values()]
    if (Date.now() > end) throw new Error(`only ${back.size} of ${least} sessions came back`)
    await delay(100)
  }
}

async function gapsOfReleased(fleet: WorkerFleet, at: number, leaverPid: number): Promise<number[]> {
  const lines = await fleet.linesSince(at, ['lease.released', 'session.changed'])
  const released = lines.filter(({ msg, pid }) => msg === 'lease.released' && pid === leaverPid)
  return released.flatMap(({ sessionId, at: releasedAt }) => {
    const next = lines.find((line) => line.sessionId === sessionId && line['status'] === 'connected' && line.pid !== leaverPid)
    return next ? [next.at - releasedAt] : []
  })
}

function spread(values: readonly number[]): Result {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? null
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), mostMs: at(1) }
}

function mostWithin(times: readonly number[], ms: number): number {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted.reduce((most, time, index) => Math.max(most, sorted.slice(index).filter((other) => other < time + ms).length), 0)
}

async function main(): Promise<void> {
  const wanted = Object.keys(measures).filter((name) => flags.only === undefined || flags.only.split(',').includes(name))
  if (wanted.length === 0) throw new Error(`no such measure; there are ${Object.keys(measures).join(', ')}.`)
  const dir = await mkdtemp(join(tmpdir(), 'uj-recovery-'))
  const say = (line: string) => process.stderr.write(`  ${line}\n`)
  const results: Result = {}
  try {
    const provisioned: Provisioned = await provision(dir, sessionCount, say)
    for (const name of wanted) {
      say(name)
      const start = (sessions = sessionCount) =>
        startWorkerFleet({
          provisioned,
          dir: join(dir, name),
          sessionCount: sessions,
          messagesPerSecond: Number(flags.rate),
          ttlMs: Number(flags.ttl),
        })
      results[name] = await measures[name]?.(start).catch((error: unknown) => ({ failure: String(error) }))
    }
  } finally {
    endLeftovers()
    await rm(dir, { recursive: true, force: true, maxRetries: 3 })
  }
  const settings = { sessionCount, workerCount, runCount, ttlMs: Number(flags.ttl), messagesPerSecond: Number(flags.rate) }
  process.stdout.write(`${JSON.stringify({ machine: describeMachine(), settings, results }, null, 2)}\n`)
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  },
)
