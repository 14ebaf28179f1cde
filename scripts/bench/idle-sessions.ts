// Figure: what an idle session costs a worker in memory and CPU, beside a bare Baileys process with the same sockets.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startBareFleet } from './rig/bare-fleet.ts'
import { row, type Figure } from './rig/figure.ts'
import { cpuMs, rssMb } from './rig/process-cost.ts'
import { startProductFleet } from './rig/product-fleet.ts'

const sessions = 100
/** After logging in: what was needed for that is collected, and first key-alives are through. */
const settleMs = 5_000
/** Two rounds of key-alives at least: Baileys' come every 30 s, ours every 25 s. */
const idleMs = 60_000

/** Both at the same time, each over a sandbox of its own: the machine is the same for both. */
export const idleSessions: Figure = {
  name: 'idle-sessions',
  title: `${sessions} idle sessions in one worker ÷ a bare Baileys process with the same sockets`,
  devices: sessions,
  async run({ provisioned, dir, say }) {
    const bare = await startBareFleet(provisioned, join(dir, 'bare'), 1)
    try {
      const sandbox = await provisioned.startSandbox('product')
      try {
        const fleet = await startProductFleet({
          dir: join(dir, 'product'),
          apps: ['session-worker', 'webhook-worker', 'scheduler', 'api'],
          whatsappUrl: sandbox.url,
        })
        try {
          const worker = fleet.pids('session-worker')
          const empty = { product: rssMb(worker), bare: rssMb(bare.pids) }
          await bare.connect(sessions)
          await fleet.addSessions(provisioned.devices.slice(0, sessions))
          await fleet.connected(sessions)
          say(`${sessions} connected in both; idle for ${(settleMs + idleMs) / 1_000} s`)
          await delay(settleMs)
          const before = { product: cpuMs(worker), bare: cpuMs(bare.pids) }
          await delay(idleMs)
          const perMinute = 60_000 / idleMs / sessions
          const memory = { product: rssMb(worker), bare: rssMb(bare.pids) }
          return [
            row('memory of the process', 'MB', memory.product, memory.bare, { atMost: 1.25 }),
            row('memory per session', 'MB', (memory.product - empty.product) / sessions, (memory.bare - empty.bare) / sessions),
            row(
              'CPU per idle session and minute',
              'ms',
              (cpuMs(worker) - before.product) * perMinute,
              (cpuMs(bare.pids) - before.bare) * perMinute,
              { atMost: 1.25 },
            ),
          ]
        } finally {
          await fleet.close()
        }
      } finally {
        await sandbox.close()
      }
    } finally {
      await bare.close()
    }
  },
}
