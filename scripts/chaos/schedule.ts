// The faults of one run and their times, from its seed: one row for the machines, one for the networks; they run side by side.
import { createRandom, type Random } from './random.ts'

/** Workers are named by their place among those alive, sessions by their index. */
export type Fault =
  | { kind: 'kill_worker'; worker: number }
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
  | { kind: 'sandbox_login_failure'; count: number; ms: number }
  | { kind: 'sandbox_restrict'; sessions: number[]; ms: number }
  | { kind: 'link_slow'; bytesPerSecond: number; ms: number }
  | { kind: 'link_lossy'; ms: number }
  | { kind: 'link_cut'; part: number }
  | { kind: 'link_swallow'; part: number; ms: number }
  | { kind: 'receiver_fails'; ms: number }
  | { kind: 'receiver_hangs'; ms: number }

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
  kill_all_workers: 6_000,
  kill_redis: 8_000,
  restart_redis: 8_000,
  freeze_redis: 5_000,
  empty_redis: 6_000,
  reload_workers: 4_000,
}

export function planFaults(options: ScheduleOptions): PlannedFault[] {
  const random = createRandom(options.seed)
  const rows = [machineFaults(options), networkFaults(options)]
  return rows.flatMap((makers) => planRow(makers, random, options.durationMs)).toSorted((a, b) => a.at - b.at)
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
    (random) => ({ kind: 'kill_worker', worker: worker(random) }),
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

function networkFaults({ sessionCount }: ScheduleOptions): Make[] {
  const indexes = Array.from({ length: sessionCount }, (_, index) => index)
  const some = (random: Random, part: number) => random.some(indexes, Math.max(1, Math.round(sessionCount * part)))
  // The third conflict within ten minutes ends a session for good: nobody gets a second one.
  let spared = [...indexes]
  const conflict: Make = (random) => {
    if (spared.length === 0) return { kind: 'sandbox_strike', fault: 'close', sessions: some(random, 0.2) }
    const sessions = random.some(spared, 2)
    spared = spared.filter((index) => !sessions.includes(index))
    return { kind: 'sandbox_conflict', sessions }
  }
  return [
    (random) => ({ kind: 'sandbox_strike', fault: 'close', sessions: some(random, 0.3) }),
    (random) => ({ kind: 'sandbox_strike', fault: 'reset', sessions: some(random, 1) }),
    conflict,
    (random) => ({ kind: 'sandbox_stream_error', code: random.pick([500, 503, 515]), sessions: some(random, 0.2) }),
    (random) => ({ kind: 'sandbox_stall', sessions: some(random, 0.2), ms: random.between(5_000, 20_000) }),
    (random) => ({ kind: 'sandbox_latency', delayMs: random.between(50, 600), jitterMs: 50, ms: random.between(4_000, 10_000) }),
    (random) => ({ kind: 'sandbox_drop_acks', count: random.between(1, 4), sessions: some(random, 0.3), ms: 3_000 }),
    (random) => ({ kind: 'sandbox_ack_error', count: random.between(1, 3), sessions: some(random, 0.3), ms: 3_000 }),
    (random) => ({ kind: 'sandbox_refuse', ms: random.between(1_000, 8_000) }),
    (random) => ({ kind: 'sandbox_login_failure', count: random.between(1, 5), ms: 4_000 }),
    (random) => ({ kind: 'sandbox_restrict', sessions: some(random, 0.2), ms: 8_000 }),
    (random) => ({ kind: 'link_slow', bytesPerSecond: random.between(600, 4_000), ms: random.between(5_000, 10_000) }),
    (random) => ({ kind: 'link_lossy', ms: random.between(5_000, 12_000) }),
    (random) => ({ kind: 'link_cut', part: random.pick([0.2, 0.5, 1]) }),
    (random) => ({ kind: 'link_swallow', part: random.pick([0.2, 0.5]), ms: random.between(8_000, 20_000) }),
    (random) => ({ kind: 'receiver_fails', ms: random.between(500, 3_000) }),
    (random) => ({ kind: 'receiver_hangs', ms: random.between(500, 3_000) }),
  ]
}

export function describeFault(fault: Fault): string {
  const { kind, ...rest } = fault
  const details = Object.entries(rest).map(([name, value]) => {
    return `${name} ${Array.isArray(value) ? `${value.length}: ${value.slice(0, 8).join(' ')}` : String(value)}`
  })
  return details.length === 0 ? kind : `${kind} (${details.join(', ')})`
}
