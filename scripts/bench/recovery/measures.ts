// What is measured of a fleet that is hurt: each measure starts a fleet of its own with traffic, and ends with what became of every message.
import { setTimeout as delay } from 'node:timers/promises'
import { checkFleet } from '../../chaos/check/check-fleet.ts'
import { cpuMs } from '../rig/process-cost.ts'
import type { MessageTally, WorkerFleet } from '../rig/worker-fleet.ts'
import { firstTimes, gapsOfReleased, mostWithin, spread, untilConnected, type Result } from './gaps.ts'

export interface Settings {
  sessionCount: number
  workerCount: number
  runCount: number
  ttlMs: number
}

interface FleetNeeds {
  sessions?: number
  isLinked?: boolean
}

export type StartFleet = (needs?: FleetNeeds) => Promise<WorkerFleet>
type Measure = (start: StartFleet, settings: Settings) => Promise<Result>
type EnvOf = (index: number) => Record<string, string>

const busySessions = 20
const loneSessions = 50
const sameMachine: EnvOf = () => ({})
const ownMachine: EnvOf = (index) => ({ UJUMBE_HOST_ID: `machine-${index}` })

export const measures: Record<string, Measure> = {
  'cold-start': async (start, { workerCount, sessionCount }) => {
    const fleet = await start()
    const at = Date.now()
    const workers = await Promise.all(Array.from({ length: workerCount }, () => fleet.startWorker()))
    await fleet.allConnected()
    const tookMs =
      Math.max(...(await firstTimes(fleet, at, 'session.changed', ({ status }) => status === 'connected')).values()) - at
    const opened = (await fleet.linesSince(at, ['socket.connected'])).map((line) => line.at)
    const cpu = cpuMs([...workers.map(({ pid }) => pid), fleet.sandbox.processId])
    return end(fleet, { tookMs, mostOpensInOneSecond: mostWithin(opened, 1_000), cpuMsPerSession: cpu / sessionCount })
  },
  /** A neighbour on the machine sees it die. */
  takeover: (start, settings) => takeovers(start, settings, sameMachine),
  /** Each on what counts as another machine: only the time decides. */
  'takeover-by-ttl': (start, settings) => takeovers(start, settings, ownMachine),
  /** The only worker, started again by PM2. */
  'lone-restart': async (start, { runCount, sessionCount }) => {
    const fleet = await start({ sessions: Math.min(loneSessions, sessionCount) })
    const presentPid = await fleet.startUnderPm2()
    const gaps: number[] = []
    for (let run = 0; run < runCount; run += 1) {
      await fleet.allConnected()
      const pid = await presentPid()
      const held = await fleet.heldBy(pid)
      const at = Date.now()
      process.kill(pid, 'SIGKILL')
      gaps.push(...(await untilConnected(fleet, at, held)))
    }
    return end(fleet, spread(gaps))
  },
  handover: async (start, { workerCount, runCount }) => {
    const fleet = await started(start, workerCount, sameMachine)
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
    return end(fleet, spread(gaps))
  },
  /** One more worker than before: how long until shares are even, and how many sessions moved for it. */
  join: async (start, { workerCount, sessionCount }) => {
    const fleet = await started(start, workerCount - 1, sameMachine)
    const at = Date.now()
    await fleet.startWorker()
    await fleet.even()
    const evenAfterMs = Date.now() - at
    await settled(fleet)
    const moved = new Set((await fleet.linesSince(at, ['lease.moved'])).map(({ sessionId }) => sessionId)).size
    const shares = await Promise.all(fleet.workers.map(async ({ pid }) => (await fleet.heldBy(pid)).length))
    return end(fleet, { evenAfterMs, shares, moved, needed: Math.floor(sessionCount / workerCount) })
  },
  outage: async (start, { workerCount, sessionCount }) => {
    const fleet = await started(start, workerCount, sameMachine)
    const back: Result = {}
    for (const seconds of [1, 5, 30]) {
      await fleet.sandbox.client.fault({ kind: 'refuse_connections' })
      await fleet.sandbox.client.fault({ kind: 'reset' })
      await delay(seconds * 1_000)
      const pids = [...fleet.workers.map(({ pid }) => pid), fleet.sandbox.processId]
      const before = cpuMs(pids)
      await fleet.sandbox.client.clearFaults()
      const at = Date.now()
      await fleet.allConnected()
      const opened = await fleet.linesSince(at, ['socket.connected'])
      const lastMs = Math.max(...opened.map((line) => line.at)) - at
      back[`${seconds} s`] = {
        backAfterMs: lastMs,
        connectedAnew: opened.length,
        cpuMsPerSession: (cpuMs(pids) - before) / sessionCount,
      }
      await settled(fleet)
    }
    return end(fleet, back)
  },
  /** Frames swallowed, no close. */
  'half-open': async (start, { workerCount, sessionCount }) => {
    const fleet = await started(start, workerCount, sameMachine)
    const sessions = Array.from({ length: Math.min(busySessions, sessionCount) }, (_, index) => String(254_720_000_000 + index))
    const at = Date.now()
    await fleet.sandbox.client.fault({ kind: 'stall', sessions })
    const noticed = async () => [...(await firstTimes(fleet, at, 'socket.closed')).values()].map((closedAt) => closedAt - at)
    while ((await noticed()).length < sessions.length && Date.now() - at < 60_000) await delay(250)
    await fleet.sandbox.client.clearFaults()
    await fleet.allConnected()
    return end(fleet, spread(await noticed()))
  },
  /** A worker that is stopped for longer than it may be trusted, and then goes on. */
  frozen: async (start, { workerCount, ttlMs }) => {
    const fleet = await started(start, workerCount, sameMachine, { isLinked: true })
    const [worker] = fleet.workers
    if (!worker) throw new Error('no worker')
    const at = Date.now()
    const held = await fleet.heldBy(worker.pid)
    worker.process.kill('SIGSTOP')
    await delay(1.6 * ttlMs)
    worker.process.kill('SIGCONT')
    await settled(fleet)
    const gaps = await untilConnected(fleet, at, held)
    await fleet.messagesAtEnd()
    const { claims, connections } = await fleet.ownership()
    const stale = checkFleet({ claims, connections, shares: [], unconnected: [], leftovers: [] })
    const closed = await fleet.linesSince(at, ['socket.closed'])
    const conflicts = closed.filter(({ reason }) => String(reason).includes('conflict')).length
    return end(fleet, { ...spread(gaps), staleFrames: stale.length, conflicts, connectionsSeen: connections.length })
  },
}

async function end(fleet: WorkerFleet, result: Result): Promise<Result & { messages: MessageTally }> {
  const messages = await fleet.messagesAtEnd()
  await fleet.close()
  return { ...result, messages }
}

async function started(start: StartFleet, workerCount: number, envOf: EnvOf, needs: FleetNeeds = {}): Promise<WorkerFleet> {
  const fleet = await start(needs)
  await Promise.all(Array.from({ length: workerCount }, (_, index) => fleet.startWorker(envOf(index))))
  await settled(fleet)
  return fleet
}

async function settled(fleet: WorkerFleet): Promise<void> {
  await fleet.allConnected()
  await fleet.even()
  await fleet.allConnected()
}

async function takeovers(start: StartFleet, { workerCount, runCount }: Settings, envOf: EnvOf): Promise<Result> {
  const fleet = await started(start, workerCount, envOf)
  const gaps: number[] = []
  const worstOfEachRun: number[] = []
  for (let run = 0; run < runCount; run += 1) {
    const [victim] = fleet.workers
    if (!victim) break
    const held = await fleet.heldBy(victim.pid)
    const at = Date.now()
    await fleet.kill(victim)
    const back = await untilConnected(fleet, at, held)
    gaps.push(...back)
    worstOfEachRun.push(Math.max(...back))
    await fleet.startWorker(envOf(workerCount + run))
    await settled(fleet)
  }
  return end(fleet, { ...spread(gaps), worstOfEachRun })
}
