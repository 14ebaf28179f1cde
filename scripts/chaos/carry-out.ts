// Carrying faults out on a running fleet. Each resolves when the fault is over and what it changed is as before, and says whether anything was hit.
import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseSync } from 'node:sqlite'
import type { Redis } from 'ioredis'
import type { Fleet } from '../support/fleet.ts'
import type { SandboxClient, SandboxFault } from '../support/sandbox-client.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import { endSession, type EndingBooks } from './end-session.ts'
import type { Link } from './link.ts'
import type { ChaosReceiver } from './receiver.ts'
import type { Fault } from './schedule.ts'
import type { ChaosSession } from './traffic.ts'
import { workerWithUnacked } from './unacked.ts'

export interface FaultDeps {
  fleet: Fleet
  workerCount: number
  redis: Redis
  sandbox: SandboxClient
  link: Link
  receiver: ChaosReceiver
  sessions: readonly ChaosSession[]
  books: EndingBooks
  /** Has these sessions write to somebody new. */
  writeToStrangers: (sessions: readonly ChaosSession[]) => Promise<void>
}

/** False when there was nothing to hit: no such process, no open socket. */
export async function carryOut(deps: FaultDeps, fault: Fault): Promise<boolean> {
  const { fleet, sandbox, link, receiver } = deps
  switch (fault.kind) {
    case 'kill_worker':
      return kill(await someWorker(deps, fault.worker))
    case 'kill_worker_unacked':
      return kill(await workerWithUnacked(deps))
    case 'kill_all_workers':
      return (await fleet.pids('session-worker')).map((pid) => kill(pid)).includes(true)
    case 'freeze_worker':
      return freeze(await someWorker(deps, fault.worker), fault.ms)
    case 'end_worker':
      return signal(await someWorker(deps, fault.worker), 'SIGTERM')
    case 'reload_workers':
      await fleet.pm2('reload', 'session-worker', '--parallel', String(fault.parallel), '--silent')
      return true
    case 'scale_workers':
      await fleet.pm2('scale', 'session-worker', String(fault.count), '--silent')
      await sleep(fault.ms)
      await fleet.pm2('scale', 'session-worker', String(deps.workerCount), '--silent')
      return true
    case 'kill_process':
      return kill((await fleet.pids(fault.name))[0])
    case 'kill_redis':
      return kill((await fleet.pids('redis'))[0])
    case 'restart_redis':
      await fleet.pm2('restart', 'redis', '--silent')
      return true
    case 'freeze_redis':
      return freeze((await fleet.pids('redis'))[0], fault.ms)
    case 'empty_redis':
      await deps.redis.flushall()
      return true
    case 'lock_store':
      return lockStore(fleet.config.sqlitePath, fault.ms)
    case 'sandbox_strike':
      return struck(sandbox, { kind: fault.fault, sessions: numbersOf(deps, fault.sessions) })
    case 'sandbox_conflict':
      return struck(sandbox, { kind: 'conflict', sessions: numbersOf(deps, fault.sessions) })
    case 'sandbox_stream_error':
      return struck(sandbox, { kind: 'stream_error', code: fault.code, sessions: numbersOf(deps, fault.sessions) })
    case 'sandbox_stall':
      return during(sandbox, { kind: 'stall', sessions: numbersOf(deps, fault.sessions) }, fault.ms)
    case 'sandbox_latency':
      return during(sandbox, { kind: 'latency', ms: fault.delayMs, jitterMs: fault.jitterMs }, fault.ms)
    case 'sandbox_drop_acks':
      return during(sandbox, { kind: 'drop_acks', count: fault.count, sessions: numbersOf(deps, fault.sessions) }, fault.ms)
    case 'sandbox_ack_error': {
      const sessions = numbersOf(deps, fault.sessions)
      return during(sandbox, { kind: 'ack_error', code: 500, count: fault.count, sessions }, fault.ms)
    }
    case 'sandbox_refuse':
      await sandbox.fault({ kind: 'refuse_connections' })
      return during(sandbox, { kind: 'reset' }, fault.ms)
    case 'sandbox_login_failure':
      await sandbox.fault({ kind: 'login_failure', code: fault.code, count: fault.count })
      return during(sandbox, { kind: 'close' }, fault.ms)
    case 'sandbox_undecryptable':
      return during(sandbox, { kind: 'undecryptable', count: fault.count, sessions: numbersOf(deps, fault.sessions) }, fault.ms)
    case 'sandbox_restrict': {
      const sessions = fault.sessions.flatMap((index) => deps.sessions[index] ?? [])
      const restriction = { kind: 'restrict' as const, until: Date.now() + fault.ms, sessions: numbersOf(deps, fault.sessions) }
      await sandbox.fault(restriction)
      await deps.writeToStrangers(sessions)
      await sleep(fault.ms)
      return sessions.length > 0
    }
    case 'link_slow':
      return withLink(link, { bytesPerSecond: fault.bytesPerSecond, isLossy: false }, fault.ms)
    case 'link_lossy':
      return withLink(link, { bytesPerSecond: null, isLossy: true }, fault.ms)
    case 'link_cut':
      return link.cut(fault.part) > 0
    case 'link_swallow':
    case 'link_mute': {
      const count = fault.kind === 'link_mute' ? link.mute(fault.part) : link.swallow(fault.part)
      await sleep(fault.ms)
      return count > 0
    }
    case 'receiver_fails':
    case 'receiver_hangs':
      receiver.behave(fault.kind === 'receiver_fails' ? 'fails' : 'hangs')
      await sleep(fault.ms)
      receiver.behave('well')
      return true
    case 'end_session': {
      const session = deps.sessions[fault.session]
      if (session) await endSession(sandbox, deps.books, session, fault.ending)
      return session !== undefined
    }
    case 'rival_epoch':
      return raiseEpoch(fleet.config.sqlitePath, deps.sessions[fault.session]?.id ?? '')
  }
}

function numbersOf({ sessions }: FaultDeps, indexes: readonly number[]): string[] {
  return indexes.flatMap((index) => sessions[index]?.phoneNumber ?? [])
}

async function someWorker({ fleet }: FaultDeps, place: number): Promise<number | undefined> {
  const pids = await fleet.pids('session-worker')
  return pids[place % Math.max(1, pids.length)]
}

function signal(pid: number | undefined, name: NodeJS.Signals): boolean {
  if (pid === undefined) return false
  try {
    return process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it ended by itself, or by another fault
    return false
  }
}

function kill(pid: number | undefined): boolean {
  return signal(pid, 'SIGKILL')
}

async function freeze(pid: number | undefined, ms: number): Promise<boolean> {
  const isFrozen = signal(pid, 'SIGSTOP')
  await sleep(ms)
  return signal(pid, 'SIGCONT') && isFrozen
}

/** What another program does that holds the file: nobody can write. */
async function lockStore(path: string, ms: number): Promise<boolean> {
  const db = new DatabaseSync(path, { timeout: 5_000 })
  try {
    db.exec('BEGIN IMMEDIATE')
    await sleep(ms)
    db.exec('ROLLBACK')
    return true
  } finally {
    db.close()
  }
}

async function raiseEpoch(path: string, sessionId: string): Promise<boolean> {
  const store = await openSqliteStore(path)
  try {
    const session = await store.sessions.get(sessionId)
    return session !== null && (await store.sessions.raiseEpoch(sessionId, session.epoch + 1, session.epoch))
  } finally {
    await store.close()
  }
}

async function struck(sandbox: SandboxClient, fault: SandboxFault): Promise<boolean> {
  return (await sandbox.fault(fault)).sockets > 0
}

async function during(sandbox: SandboxClient, fault: SandboxFault, ms: number): Promise<boolean> {
  const { sockets } = await sandbox.fault(fault)
  await sleep(ms)
  await sandbox.clearFaults()
  return sockets > 0
}

async function withLink(link: Link, state: Parameters<Link['set']>[0], ms: number): Promise<boolean> {
  link.set(state)
  await sleep(ms)
  link.set({ bytesPerSecond: null, isLossy: false })
  return true
}
