// The faults of one run and their times, from its seed: a row for machines, one for networks, one for single sessions; they run side by side.
import { createRandom, type Random } from './random.ts'

/** What WhatsApp says that ends a session until somebody cares for it, and where. `unlink`: its person removes the device (401). */
export type Ending = { by: 'unlink' } | { by: 'stream' | 'login'; code: 401 | 403 | 405 | 411 } | { by: 'conflict' }

const endingCodes = [403, 405, 411] as const
export const endings: readonly Ending[] = [
  { by: 'unlink' },
  ...endingCodes.map((code) => ({ by: 'stream' as const, code })),
  ...[401 as const, ...endingCodes].map((code) => ({ by: 'login' as const, code })),
  { by: 'conflict' },
]

/** Workers are named by their place among those alive, sessions by their index. */
export type Fault =
  | { kind: 'kill_worker'; worker: number }
  /** Right after messages have left and before their acks and receipts arrive: their outcome is unknown. */
  | { kind: 'kill_worker_unacked' }
  | { kind: 'kill_all_workers' }
  | { kind: 'freeze_worker'; worker: number; ms: number }
  | { kind: 'end_worker'; worker: number }
  /** One after the other, or all at the same time. */
  | { kind: 'reload_workers'; parallel: number }
  | { kind: 'scale_workers'; count: number; ms: number }
  | { kind: 'kill_process'; name: 'api' | 'webhook-worker' | 'scheduler' }
  | { kind: 'kill_redis' }
  | { kind: 'restart_redis' }
  | { kind: 'freeze_redis'; ms: number }
  | { kind: 'empty_redis' }
  | { kind: 'lock_store'; ms: number }
  | { kind: 'sandbox_strike'; fault: 'close' | 'reset'; sessions: number[] }
  | { kind: 'sandbox_conflict'; sessions: number[] }
  | { kind: 'sandbox_stream_error'; code: number; sessions: number[] }
  | { kind: 'sandbox_stall'; sessions: number[]; ms: number }
  | { kind: 'sandbox_latency'; delayMs: number; jitterMs: number; ms: number }
  | { kind: 'sandbox_drop_acks'; count: number; sessions: number[]; ms: number }
  | { kind: 'sandbox_ack_error'; count: number; sessions: number[]; ms: number }
  | { kind: 'sandbox_refuse'; ms: number }
  | { kind: 'sandbox_login_failure'; code: number; count: number; ms: number }
  | { kind: 'sandbox_undecryptable'; count: number; sessions: number[]; ms: number }
  | { kind: 'sandbox_restrict'; sessions: number[]; ms: number }
  | { kind: 'link_slow'; bytesPerSecond: number; ms: number }
  | { kind: 'link_lossy'; ms: number }
  | { kind: 'link_cut'; part: number }
  | { kind: 'link_swallow'; part: number; ms: number }
  | { kind: 'link_mute'; part: number; ms: number }
  | { kind: 'receiver_fails'; ms: number }
  | { kind: 'receiver_hangs'; ms: number }
  /** Until it is cared for; `ms`: about how long that takes. */
  | { kind: 'end_session'; ending: Ending; session: number; ms: number }
  /** Somebody else raises its epoch in the store behind the holder's back, as after a Redis that forgot who holds what. */
  | { kind: 'rival_epoch'; session: number }

export interface PlannedFault {
  /** Milliseconds from the start of the traffic. */
  at: number
  fault: Fault
}

export interface ScheduleOptions {
  seed: number
  durationMs: number
  sessionCount: number
  workerCount: number
  leaseTtlMs: number
}

type Make = (random: Random) => Fault

/** Pauses between the end of one fault and the next of its row. */
const pauseMs = { least: 1_500, most: 6_000 }
/** After these the fleet needs some time to stand again before the next one of its row means anything. */
const recoveryMs: Partial<Record<Fault['kind'], number>> = {
  kill_worker_unacked: 3_000,
  kill_all_workers: 6_000,
  kill_redis: 8_000,
  restart_redis: 8_000,
  freeze_redis: 5_000,
  empty_redis: 6_000,
  reload_workers: 4_000,
}

export function planFaults(options: ScheduleOptions): PlannedFault[] {
  const random = createRandom(options.seed)
  const spared = sparedSessions(options)
  const rows = [machineFaults(options), networkFaults(options, spared), sessionFaults(options, spared)]
  return rows.flatMap((makers) => planRow(makers, random, options.durationMs)).toSorted((a, b) => a.at - b.at)
}

/** Every kind that a run which is long enough comes to. */
export function plannedKinds(options: ScheduleOptions): Set<Fault['kind']> {
  return new Set(planFaults({ ...options, durationMs: 3_600_000 }).map(({ fault }) => fault.kind))
}

/** The third conflict within ten minutes ends a session: nobody is meant twice by chance. */
function sparedSessions({ sessionCount }: ScheduleOptions): (random: Random) => number | undefined {
  const left = Array.from({ length: sessionCount }, (_, index) => index)
  return (random) => left.splice(random.between(0, Math.max(0, left.length - 1)), 1)[0]
}

/** Each kind comes once, in an order of chance, before any comes again: short runs see as many kinds as they have time for. */
function planRow(makers: readonly Make[], random: Random, durationMs: number): PlannedFault[] {
  const planned: PlannedFault[] = []
  let left: Make[] = []
  for (let at = random.between(pauseMs.least, pauseMs.most); ;) {
    if (left.length === 0) left = random.some(makers, makers.length)
    const fault = (left.shift() as Make)(random)
    const lasts = 'ms' in fault ? fault.ms : 0
    if (at + lasts > durationMs) return planned
    planned.push({ at, fault })
    at += lasts + (recoveryMs[fault.kind] ?? 0) + random.between(pauseMs.least, pauseMs.most)
  }
}

function machineFaults({ workerCount, leaseTtlMs }: ScheduleOptions): Make[] {
  const worker = (random: Random) => random.between(0, workerCount - 1)
  return [
    (random) => ({ kind: 'kill_worker', worker: worker(random) }),
    () => ({ kind: 'kill_worker_unacked' }),
    () => ({ kind: 'kill_worker_unacked' }),
    () => ({ kind: 'kill_all_workers' }),
    (random) => ({ kind: 'freeze_worker', worker: worker(random), ms: Math.round(leaseTtlMs * 1.6) }),
    (random) => ({ kind: 'freeze_worker', worker: worker(random), ms: random.between(500, leaseTtlMs) }),
    (random) => ({ kind: 'end_worker', worker: worker(random) }),
    (random) => ({ kind: 'reload_workers', parallel: random.pick([1, 8]) }),
    (random) => ({ kind: 'scale_workers', count: workerCount + random.pick([-1, 1, 2]), ms: random.between(6_000, 12_000) }),
    () => ({ kind: 'kill_process', name: 'api' }),
    () => ({ kind: 'kill_process', name: 'webhook-worker' }),
    () => ({ kind: 'kill_process', name: 'scheduler' }),
    () => ({ kind: 'kill_redis' }),
    () => ({ kind: 'restart_redis' }),
    (random) => ({ kind: 'freeze_redis', ms: random.between(1_000, leaseTtlMs * 2) }),
    () => ({ kind: 'empty_redis' }),
    (random) => ({ kind: 'lock_store', ms: random.between(1_000, 6_000) }),
  ]
}

function networkFaults({ sessionCount }: ScheduleOptions, spared: (random: Random) => number | undefined): Make[] {
  const indexes = Array.from({ length: sessionCount }, (_, index) => index)
  const some = (random: Random, part: number) => random.some(indexes, Math.max(1, Math.round(sessionCount * part)))
  // Not those whose devices are removed: what a phone asks for again dies with the device that it asks.
  const steady = indexes.filter((index) => !mayBeRemoved(index))
  const conflict: Make = (random) => {
    const session = spared(random)
    if (session === undefined) return { kind: 'sandbox_strike', fault: 'close', sessions: some(random, 0.2) }
    return { kind: 'sandbox_conflict', sessions: [session] }
  }
  return [
    (random) => ({ kind: 'sandbox_strike', fault: 'close', sessions: some(random, 0.3) }),
    (random) => ({ kind: 'sandbox_strike', fault: 'reset', sessions: some(random, 1) }),
    conflict,
    (random) => ({ kind: 'sandbox_stream_error', code: random.pick([429, 500, 503, 515]), sessions: some(random, 0.2) }),
    (random) => ({ kind: 'sandbox_stall', sessions: some(random, 0.2), ms: random.between(5_000, 20_000) }),
    (random) => ({ kind: 'sandbox_latency', delayMs: random.between(50, 600), jitterMs: 50, ms: random.between(4_000, 10_000) }),
    (random) => ({ kind: 'sandbox_drop_acks', count: random.between(3, 8), sessions: some(random, 0.3), ms: 3_000 }),
    (random) => ({ kind: 'sandbox_ack_error', count: random.between(2, 5), sessions: some(random, 0.3), ms: 3_000 }),
    (random) => ({ kind: 'sandbox_refuse', ms: random.between(1_000, 8_000) }),
    (random) => ({ kind: 'sandbox_login_failure', code: random.pick([429, 500, 503]), count: random.between(1, 5), ms: 4_000 }),
    (random) => ({
      kind: 'sandbox_undecryptable',
      count: random.between(2, 6),
      sessions: random.some(steady, Math.ceil(steady.length / 2)),
      ms: 3_000,
    }),
    (random) => ({ kind: 'sandbox_restrict', sessions: some(random, 0.2), ms: 8_000 }),
    (random) => ({ kind: 'link_slow', bytesPerSecond: random.between(600, 4_000), ms: random.between(5_000, 10_000) }),
    (random) => ({ kind: 'link_lossy', ms: random.between(5_000, 12_000) }),
    (random) => ({ kind: 'link_cut', part: random.pick([0.2, 0.5, 1]) }),
    (random) => ({ kind: 'link_swallow', part: random.pick([0.2, 0.5]), ms: random.between(8_000, 20_000) }),
    (random) => ({ kind: 'link_mute', part: random.pick([0.2, 0.5]), ms: random.between(8_000, 15_000) }),
    (random) => ({ kind: 'receiver_fails', ms: random.between(500, 3_000) }),
    (random) => ({ kind: 'receiver_hangs', ms: random.between(500, 3_000) }),
  ]
}

/** Every second session may lose its device. */
const mayBeRemoved = (index: number) => index % 2 === 1

function sessionFaults({ sessionCount }: ScheduleOptions, spared: (random: Random) => number | undefined): Make[] {
  const any = (random: Random) => random.between(0, sessionCount - 1)
  const removable = (random: Random) => (sessionCount > 1 ? random.between(0, Math.floor(sessionCount / 2) - 1) * 2 + 1 : 0)
  const end = (ending: Ending): Make => {
    const isRemoval = ending.by === 'unlink' || ('code' in ending && (ending.code === 401 || ending.code === 411))
    return (random) => ({ kind: 'end_session', ending, session: isRemoval ? removable(random) : any(random), ms: 8_000 })
  }
  // Pauses of 5 s and 30 s lie between the three.
  const conflict: Make = (random) => {
    const session = spared(random)
    if (session === undefined) return { kind: 'rival_epoch', session: any(random) }
    return { kind: 'end_session', ending: { by: 'conflict' }, session, ms: 45_000 }
  }
  return [
    ...endings.filter(({ by }) => by !== 'conflict').map(end),
    conflict,
    (random) => ({ kind: 'rival_epoch', session: any(random) }),
    (random) => ({ kind: 'rival_epoch', session: any(random) }),
  ]
}

export function describeEnding(ending: Ending): string {
  return 'code' in ending ? `${ending.by}_${ending.code}` : ending.by
}

export function describeFault(fault: Fault): string {
  const { kind, ...rest } = fault
  const details = Object.entries(rest).map(([name, value]) => {
    if (typeof value === 'object' && !Array.isArray(value)) return describeEnding(value)
    return `${name} ${Array.isArray(value) ? `${value.length}: ${value.slice(0, 8).join(' ')}` : String(value)}`
  })
  return details.length === 0 ? kind : `${kind} (${details.join(', ')})`
}
