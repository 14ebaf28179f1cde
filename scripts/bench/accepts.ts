// Figure: accepting messages over REST, beside a bare Express with one `queue.add`.
import { join } from 'node:path'
import { startChild } from './rig/child.ts'
import { drive } from './rig/drive.ts'
import { row, type Figure } from './rig/figure.ts'
import { cpuMs } from './rig/process-cost.ts'
import { startProductFleet } from './rig/product-fleet.ts'
import { startBenchRedis } from './rig/redis.ts'

const sessions = 50
const rounds = 4
const perRound = 1_000
/** Until about then both still compile what they run. */
const warmUp = 5_000
const concurrency = 32
const port = 40_000 + Math.floor(Math.random() * 10_000)

interface Cost {
  seconds: number
  cpuMs: number
  count: number
}

/** In turns, so that both see the same machine; nobody sends what is accepted. */
export const accepts: Figure = {
  name: 'accepts',
  title: 'accepting a message (authorised, validated, stored, queued) ÷ a bare Express with one `queue.add`',
  devices: 0,
  async run({ dir, say }) {
    const product = await startProductFleet({ dir: join(dir, 'product'), apps: ['api'] })
    try {
      await product.addSessions(Array.from({ length: sessions }, () => null))
      const redis = await startBenchRedis(join(dir, 'bare'))
      try {
        const bare = await startChild(join(import.meta.dirname, 'bare-express-process.ts'), {
          dir,
          env: { REDIS_URL: redis.url, PORT: String(port), NODE_ENV: 'production' },
        })
        try {
          const text = (index: number) => ({
            to: `2547110000${(index % 90) + 10}`,
            type: 'text',
            text: { body: `Message ${index}` },
          })
          const loads = {
            product: {
              pids: product.pids(),
              origin: product.apiUrl,
              headers: { authorization: `Bearer ${product.adminKey}` },
              request: (index: number) => ({
                path: `/v1/sessions/${product.sessionIds[index % sessions]}/messages`,
                body: text(index),
              }),
            },
            bare: {
              pids: [bare.pid, redis.pid],
              origin: `http://127.0.0.1:${port}`,
              headers: {},
              request: (index: number) => ({ path: '/messages', body: text(index) }),
            },
          }
          const costs: Record<keyof typeof loads, Cost> = { product: none(), bare: none() }
          for (const side of ['bare', 'product'] as const) await drive({ ...loads[side], count: warmUp, concurrency })
          for (let round = 0; round < rounds; round += 1) {
            for (const side of ['bare', 'product'] as const) {
              const before = cpuMs(loads[side].pids)
              costs[side].seconds += await drive({ ...loads[side], count: perRound, concurrency })
              costs[side].cpuMs += cpuMs(loads[side].pids) - before
              costs[side].count += perRound
            }
          }
          say(`${costs.product.count} accepted by each`)
          const rate = ({ count, seconds }: Cost) => count / seconds
          const perCpuSecond = ({ count, cpuMs: ms }: Cost) => (count * 1_000) / ms
          return [
            row('accepts per second', '1/s', rate(costs.product), rate(costs.bare), { atLeast: 0.6 }),
            row('accepts per CPU-second, Redis included', '1/s', perCpuSecond(costs.product), perCpuSecond(costs.bare), {
              atLeast: 0.6,
            }),
          ]
        } finally {
          await bare.stop()
        }
      } finally {
        await redis.close()
      }
    } finally {
      await product.close()
    }
  },
}

function none(): Cost {
  return { seconds: 0, cpuMs: 0, count: 0 }
}
