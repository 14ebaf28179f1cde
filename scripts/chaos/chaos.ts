// One chaos run: a fleet of real processes, traffic both ways, a seeded schedule of faults, rest, and the checker's judgement.
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { pairByQr } from '../demo/pair.ts'
import { unpaced } from '../support/api-client.ts'
import { startFleet, type Fleet } from '../support/fleet.ts'
import { SandboxClient } from '../support/sandbox-client.ts'
import { planSandboxFleet } from '../support/sandbox-fleet.ts'
import { carryOut, type FaultDeps } from './carry-out.ts'
import { checkHistory } from './check/check-history.ts'
import type { History, Violation } from './check/history.ts'
import { collectHistory } from './collect.ts'
import { comeToRest } from './come-to-rest.ts'
import { requiredCounts } from './count-paths.ts'
import { emptyBooks } from './end-session.ts'
import { leftProcesses } from './leftovers.ts'
import { startLink } from './link.ts'
import { createRandom } from './random.ts'
import { startChaosReceiver } from './receiver.ts'
import { describeFault, endings, planFaults, plannedKinds, type PlannedFault } from './schedule.ts'
import { tellStory } from './tell-story.ts'
import { Traffic, type ChaosSession } from './traffic.ts'
import { watchQuarantine } from './watch-quarantine.ts'

export interface ChaosOptions {
  seed: number
  minutes: number
  sessionCount: number
  workerCount: number
  /** Messages a second, both ways together. */
  perSecond: number
  leaseTtlMs: number
  dataDir: string
  progress: (line: string) => void
  /** Ends the run early: the fleet is stopped, and nothing is judged. */
  signal?: AbortSignal
}

export interface ChaosResult {
  seed: number
  sessions: number
  minutes: number
  accepted: number
  inbound: number
  events: number
  frames: number
  /** How often each fault was planned, and how often it hit something. */
  faults: Record<string, { planned: number; hit: number }>
  /** How often each path was taken that a run is there to prove. */
  paths: Record<string, number>
  /** Most memory that this process had, in MB: traffic, receiver and checker. */
  memoryMb: number
  violations: Violation[]
  /** Of the first violations. */
  stories: string[]
}

/** A phone shows its last 5,000 messages: enough people that nobody's come near it. */
const messagesPerPerson = 1_500
const leastPeople = 12
/** A run of this length has time for everything. */
const longMinutes = 10
const pairingsAtOnce = 6
const maxStories = 5

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, dataDir, progress, leaseTtlMs, workerCount } = options
  await rm(dataDir, { recursive: true, force: true })
  // Runs side by side look for their ports in different places.
  const base = 20_000 + (process.pid % 600) * 20
  const { env, sandboxPort, controlUrl } = await planSandboxFleet({ dataDir, port: base, sandboxPort: base + 1 })
  const link = await startLink(sandboxPort, createRandom(seed + 1))
  const receiver = await startChaosReceiver()
  const fleet = await startFleet({
    env: {
      ...env,
      UJUMBE_LOG_FILE_MEGABYTES: '0', // the checks read all of it
      UJUMBE_WHATSAPP_URL: `ws://127.0.0.1:${link.port}/ws/chat`,
      UJUMBE_SESSION_WORKERS: String(workerCount),
      UJUMBE_WEBHOOK_WORKERS: '2',
      UJUMBE_API_INSTANCES: '2',
      UJUMBE_LEASE_TTL_MS: String(leaseTtlMs),
      LOG_LEVEL: 'info',
    },
    onProgress: progress,
  })
  const redis = connectRedis(fleet.config, 'worker', pino({ level: 'silent' }))
  const sandbox = new SandboxClient(controlUrl)
  let stopping: Promise<void> | undefined
  const stop = () => (stopping ??= closeRedis(redis).then(() => fleet.stop()))
  try {
    const stage = { ...options, fleet, redis, sandbox, link, receiver, books: emptyBooks() }
    const { history, traffic, planned } = await unlessAborted(misbehave(stage), options.signal)
    await stop()
    history.leftovers.push(...(await leftProcesses(`${fleet.config.dataDir}/pm2`)))
    if (receiver.forgedCount > 0) history.leftovers.push(`${receiver.forgedCount} webhooks had a wrong signature`)
    const violations = checkHistory(history)
    const stories: string[] = []
    // One of each rule before a second of any.
    const firsts = [...Map.groupBy(violations, ({ rule }) => rule).values()].flatMap(([first]) => first ?? [])
    for (const violation of [...new Set([...firsts, ...violations])].slice(0, maxStories)) {
      stories.push(await tellStory(violation, { history, traffic, dataDir: fleet.config.dataDir }))
    }
    return { ...summarise(history, planned), seed, minutes: options.minutes, sessions: options.sessionCount, violations, stories }
  } finally {
    await stop()
    await receiver.close()
    await link.close()
  }
}

type Stage = ChaosOptions & Omit<FaultDeps, 'sessions' | 'writeToStrangers'>

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(new Error('interrupted'))
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
    work.catch(() => undefined) // it meets a fleet that is being stopped
  }
}

async function misbehave(stage: Stage): Promise<{ history: History; traffic: Traffic; planned: PlannedFault[] }> {
  const { seed, minutes, fleet, sandbox, receiver, progress, perSecond, sessionCount, workerCount, leaseTtlMs } = stage
  const durationMs = minutes * 60_000
  const peopleCount = Math.max(leastPeople, Math.ceil((durationMs / 1_000) * (perSecond / messagesPerPerson)))
  const people = Array.from({ length: peopleCount }, (_, index) => String(254711000001 + index))
  for (const phoneNumber of people) await sandbox.addPhone({ phoneNumber, autoRead: true })
  const endpoint = await fleet.admin.call<{ secret: string }>('POST', '/v1/webhooks', {
    url: receiver.url,
    events: ['*', 'session.qr', 'session.pairing_code'],
  })
  receiver.trust(endpoint.secret)
  progress(`Pairing ${sessionCount} sessions`)
  const sessions = await pairAll(fleet, sandbox, sessionCount)

  const schedule = { seed, durationMs, sessionCount, workerCount, leaseTtlMs }
  const planned = planFaults(schedule)
  const required = minutes < longMinutes ? [] : requiredCounts(plannedKinds(schedule), endings)
  const quarantine = watchQuarantine(stage.redis, fleet.config.redisPrefix)
  const traffic = new Traffic({ sessions, people, sandbox, random: createRandom(seed + 2), perSecond })
  const strangers: string[] = []
  const writeToStrangers = async (writers: readonly ChaosSession[]) => {
    for (const session of writers) {
      const phoneNumber = String(254712000001 + strangers.length)
      strangers.push(phoneNumber)
      await sandbox.addPhone({ phoneNumber, autoRead: true })
      traffic.sendToStranger(session, phoneNumber)
    }
  }
  progress(`Traffic of ${perSecond} messages a second for ${minutes} min, with ${planned.length} faults`)
  await traffic.start()
  const hits = await carryOutAll({ ...stage, sessions, writeToStrangers }, planned, durationMs)
  progress(`The faults are over; ${traffic.accepted.length} messages accepted, ${traffic.inbound.length} written by people`)
  await sandbox.clearFaults()
  await traffic.stop()
  const deps = { ...stage, traffic, sessions, people }
  await comeToRest(deps, progress)
  quarantine.stop()
  const all = { ...deps, people: [...people, ...strangers], hits, required, quarantineCount: quarantine.count }
  return { history: await collectHistory(all), traffic, planned }
}

async function pairAll(fleet: Fleet, sandbox: SandboxClient, count: number): Promise<ChaosSession[]> {
  const sessions: ChaosSession[] = []
  const indexes = Array.from({ length: count }, (_, index) => index)
  const pairNext = async (): Promise<void> => {
    for (let index = indexes.shift(); index !== undefined; index = indexes.shift()) {
      const phoneNumber = String(254700000001 + index)
      await sandbox.addPhone({ phoneNumber })
      const session = await fleet.admin.createSession({ displayName: `Session ${index}`, settings: unpaced })
      await pairByQr(fleet.admin, sandbox, session, phoneNumber)
      sessions[index] = { id: session.id, index, phoneNumber, api: fleet.admin.withKey(session.apiKey) }
    }
  }
  await Promise.all(Array.from({ length: pairingsAtOnce }, pairNext))
  return sessions
}

/** Each at its time. One that cannot be carried out (a process is just gone) is told and left. Answers how often each kind hit something. */
async function carryOutAll(
  deps: FaultDeps & Stage,
  planned: readonly PlannedFault[],
  durationMs: number,
): Promise<Record<string, number>> {
  const startedAt = performance.now()
  const underWay: Promise<void>[] = []
  const hits: Record<string, number> = {}
  for (const { at, fault } of planned) {
    await sleep(Math.max(0, at - (performance.now() - startedAt)))
    deps.progress(`${new Date().toISOString()}  ${describeFault(fault)}`)
    underWay.push(
      carryOut(deps, fault).then(
        (hasHit) => void (hits[fault.kind] = (hits[fault.kind] ?? 0) + Number(hasHit)),
        (error: unknown) => {
          deps.progress(`${fault.kind} could not be carried out: ${error instanceof Error ? error.message : String(error)}`)
        },
      ),
    )
  }
  await Promise.all(underWay)
  await sleep(Math.max(0, durationMs - (performance.now() - startedAt)))
  return hits
}

function summarise({ accepted, inbound, events, frames, counts }: History, planned: readonly PlannedFault[]) {
  const kinds = Map.groupBy(planned, ({ fault }) => fault.kind)
  const faults = Object.fromEntries([...kinds].map(([kind, its]) => [kind, { planned: its.length, hit: counts[kind] ?? 0 }]))
  return {
    accepted: accepted.length,
    inbound: inbound.length,
    events: events.length,
    frames: frames.length,
    faults,
    paths: Object.fromEntries(Object.entries(counts).filter(([name]) => !(name in faults))),
    memoryMb: Math.round(process.resourceUsage().maxRSS / 1_024),
  }
}
