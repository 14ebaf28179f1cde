// Figures of idleness: memory and CPU of 100 sessions in one worker beside a bare Baileys process with the same sockets; then what the whole
// fleet asks of Redis, with 100 sessions and with 300.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startBareFleet } from './rig/bare-fleet.ts'
import { row, type Figure, type Row } from './rig/figure.ts'
import { cpuMs, rssMb } from './rig/process-cost.ts'
import { startProductFleet, type ProductFleet } from './rig/product-fleet.ts'
import type { Provisioned } from './rig/provision.ts'

const sessions = 100
const grownSessions = 300
/** What was needed for logging in is collected, and the first key-alives are through. */
const settleMs = 5_000
/** Two rounds of key-alives at least: Baileys' come every 30 s, ours every 25 s. */
const idleMs = 60_000
const grownIdleMs = 25_000
/** What the best peer's idle Redis traffic was measured at, per 1,000 sessions and minute; the goal is a tenth of it. */
const peer = { commands: 30_000, cpuMs: 7_000 }

interface Idle {
  commands: number
  workerCpuMs: number
}

/** Both at the same time, each over a sandbox of its own: the machine is the same for both. */
export const idleSessions: Figure = {
  name: 'idle-sessions',
  title: `${sessions} idle sessions in one worker ÷ a bare Baileys process with the same sockets`,
  devices: grownSessions,
  async run({ provisioned, dir, say }) {
    const sandbox = await provisioned.startSandbox('product')
    try {
      const fleet = await startProductFleet({
        dir: join(dir, 'product'),
        apps: ['session-worker', 'webhook-worker', 'scheduler', 'api'],
        whatsappUrl: sandbox.url,
      })
      try {
        const { rows, idle } = await besideBare(provisioned, join(dir, 'bare'), fleet, say)
        await fleet.addSessions(provisioned.devices.slice(sessions, grownSessions))
        await fleet.connected(grownSessions)
        say(`${grownSessions} connected in the worker`)
        await delay(settleMs)
        const grown = await watch(fleet, grownIdleMs, grownSessions)
        const per = 'per 1,000 sessions and minute'
        return [
          ...rows,
          row(`Redis commands of all processes ${per}, ${sessions} sessions`, '', idle.commands, peer.commands, { atMost: 0.1 }),
          row(`Redis commands of all processes ${per}, ${grownSessions} sessions`, '', grown.commands, peer.commands, {
            atMost: 0.1,
          }),
          row(`CPU of the worker ${per}, ${sessions} sessions`, 'ms', idle.workerCpuMs, peer.cpuMs),
          row(`CPU of the worker ${per}, ${grownSessions} sessions`, 'ms', grown.workerCpuMs, peer.cpuMs),
        ]
      } finally {
        await fleet.close()
      }
    } finally {
      await sandbox.close()
    }
  },
}

async function besideBare(
  provisioned: Provisioned,
  dir: string,
  fleet: ProductFleet,
  say: (line: string) => void,
): Promise<{ rows: Row[]; idle: Idle }> {
  const bare = await startBareFleet(provisioned, dir, 1)
  try {
    const worker = fleet.pids('session-worker')
    const empty = { product: rssMb(worker), bare: rssMb(bare.pids) }
    await bare.connect(sessions)
    await fleet.addSessions(provisioned.devices.slice(0, sessions))
    await fleet.connected(sessions)
    say(`${sessions} connected in both; idle for ${(settleMs + idleMs) / 1_000} s`)
    await delay(settleMs)
    const bareBefore = cpuMs(bare.pids)
    const idle = await watch(fleet, idleMs, sessions)
    const bareCpuMs = ((cpuMs(bare.pids) - bareBefore) * 60_000) / idleMs / sessions
    const memory = { product: rssMb(worker), bare: rssMb(bare.pids) }
    return {
      idle,
      rows: [
        row('memory of the process', 'MB', memory.product, memory.bare, { atMost: 1.25 }),
        row('memory per session', 'MB', (memory.product - empty.product) / sessions, (memory.bare - empty.bare) / sessions),
        row('CPU per idle session and minute', 'ms', idle.workerCpuMs / 1_000, bareCpuMs, { atMost: 1.25 }),
      ],
    }
  } finally {
    await bare.close()
  }
}

/** Per 1,000 sessions and minute. */
async function watch(fleet: ProductFleet, durationMs: number, count: number): Promise<Idle> {
  const worker = fleet.pids('session-worker')
  const before = { cpu: cpuMs(worker), commands: await fleet.redis.commands() }
  await delay(durationMs)
  const scale = (60_000 / durationMs) * (1_000 / count)
  return {
    workerCpuMs: (cpuMs(worker) - before.cpu) * scale,
    commands: ((await fleet.redis.commands()) - before.commands) * scale,
  }
}
