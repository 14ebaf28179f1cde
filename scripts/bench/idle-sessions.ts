// Figures of idleness: one worker with 100 sessions beside a bare Baileys process with the same sockets, and what 50, 100, 200 and 400
// sessions cost: memory, CPU, and what the whole fleet asks of Redis.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startBareFleet } from './rig/bare-fleet.ts'
import { row, type Figure, type Row } from './rig/figure.ts'
import { cpuMs, rssMb } from './rig/process-cost.ts'
import { startProductFleet, type ProductFleet } from './rig/product-fleet.ts'

const besideBare = 100
const grown = [50, 100, 200, 400] as const
/** What was needed for logging in is collected, and what the log-ins left to be read by the health score has been read. */
const settleMs = 13_000
/** Health is scored and metrics are shared every ten seconds: two rounds of each. */
const idleMs = 20_000
/** What the best peer's idle Redis traffic was measured at, per 1,000 sessions and minute; the goal is a tenth of it. */
const peer = { commands: 30_000, cpuMs: 7_000 }

/** Per minute, of as many sessions as there were. */
interface Idle {
  sessions: number
  commands: number
  workerCpuMs: number
  workerMb: number
}

/** Each over a sandbox of its own. The baseline idles beside all of it: its key-alives come every 30 s, and a short look may miss them. */
export const idleSessions: Figure = {
  name: 'idle-sessions',
  title: `idle sessions in one worker; ${besideBare} of them ÷ a bare Baileys process with the same sockets`,
  devices: Math.max(...grown),
  async run({ provisioned, dir, say }) {
    const sandbox = await provisioned.startSandbox('product')
    try {
      const fleet = await startProductFleet({
        dir: join(dir, 'product'),
        apps: ['session-worker', 'webhook-worker', 'scheduler', 'api'],
        whatsappUrl: sandbox.url,
      })
      try {
        const bare = await startBareFleet(provisioned, join(dir, 'bare'), 1)
        try {
          const empty = { product: rssMb(fleet.pids('session-worker')), bare: rssMb(bare.pids) }
          await bare.connect(besideBare)
          const idle: Idle[] = []
          let bareMb = 0
          let bareBefore = { cpu: cpuMs(bare.pids), at: performance.now() }
          for (const sessions of grown) {
            await fleet.addSessions(provisioned.devices.slice(idle.at(-1)?.sessions ?? 0, sessions))
            await fleet.connected(sessions)
            say(`${sessions} connected`)
            await delay(settleMs)
            if (idle.length === 0) bareBefore = { cpu: cpuMs(bare.pids), at: performance.now() }
            idle.push(await watch(fleet, sessions))
            if (sessions === besideBare) bareMb = rssMb(bare.pids)
          }
          const bareMinutes = (performance.now() - bareBefore.at) / 60_000
          const bareNow = { cpuMs: (cpuMs(bare.pids) - bareBefore.cpu) / bareMinutes, mb: bareMb }
          return [...compared(idle, bareNow, empty), ...growth(idle)]
        } finally {
          await bare.close()
        }
      } finally {
        await fleet.close()
      }
    } finally {
      await sandbox.close()
    }
  },
}

function compared(idle: readonly Idle[], bare: { cpuMs: number; mb: number }, empty: { product: number; bare: number }): Row[] {
  const now = idle.find(({ sessions }) => sessions === besideBare)
  if (!now) return []
  const each = (value: number) => value / besideBare
  return [
    row('memory of the process', 'MB', now.workerMb, bare.mb, { atMost: 1.25 }),
    row('memory per session', 'MB', each(now.workerMb - empty.product), each(bare.mb - empty.bare)),
    row('CPU per session and minute', 'ms', each(now.workerCpuMs), each(bare.cpuMs), { atMost: 1.25 }),
  ]
}

function growth(idle: readonly Idle[]): Row[] {
  const per1000 = ({ sessions }: Idle, value: number) => (value * 1_000) / sessions
  const [least, most] = [idle[0], idle.at(-1)]
  if (!least || !most) return []
  const eachCommands = (most.commands - least.commands) / (most.sessions - least.sessions)
  const of1000 = Math.max(0, most.commands + eachCommands * (1_000 - most.sessions))
  return [
    ...idle.map((now) => row(`memory of a worker with ${now.sessions} sessions`, 'MB', now.workerMb, null)),
    ...idle.map((now) => {
      return row(
        `CPU of the worker per 1,000 sessions and minute, with ${now.sessions}`,
        'ms',
        per1000(now, now.workerCpuMs),
        peer.cpuMs,
      )
    }),
    ...idle.map((now) => {
      return row(
        `Redis commands of the fleet per 1,000 sessions and minute, with ${now.sessions}`,
        '',
        per1000(now, now.commands),
        peer.commands,
      )
    }),
    row('the same with 1,000, on the line through the least and the most', '', of1000, peer.commands, { atMost: 0.1 }),
  ]
}

async function watch(fleet: ProductFleet, sessions: number): Promise<Idle> {
  const worker = fleet.pids('session-worker')
  const before = { cpu: cpuMs(worker), commands: await fleet.redis.commands() }
  await delay(idleMs)
  const perMinute = 60_000 / idleMs
  return {
    sessions,
    workerCpuMs: (cpuMs(worker) - before.cpu) * perMinute,
    commands: ((await fleet.redis.commands()) - before.commands) * perMinute,
    workerMb: rssMb(worker),
  }
}
