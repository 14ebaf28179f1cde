// Figure: messages from REST to the phone with 50, 100, 200 and 400 sessions on two workers, beside bare Baileys loops in two processes.
import { row, type Figure, type Row } from './rig/figure.ts'
import { sideBySide } from './rig/side-by-side.ts'
import type { Traffic } from './rig/traffic.ts'

const sizes = [50, 100, 200, 400]
const ratedSize = 200
const workers = 2
const rounds = 2
/** In each round, whatever the number of sessions; of the rated one more, so that a rate is that of some seconds. */
const perRound = 800
const perRatedRound = 1_200
/** Before the first size: until then every process still compiles what it runs. */
const warmUp = 3_000

export const messages: Figure = {
  name: 'messages',
  title: `messages from REST to the phones over ${workers} workers ÷ bare Baileys loops in ${workers} processes`,
  devices: Math.max(...sizes),
  async run({ provisioned, dir, say }) {
    return sideBySide({ provisioned, dir, workers }, async ({ connect, send }) => {
      const rows: Row[] = []
      const costs: number[] = []
      for (const size of sizes) {
        await connect(size)
        // Everybody's first messages, one to each of their two people, fetch devices and keys: warm from then on.
        await send(size === sizes[0] ? warmUp / size : 2, 1)
        const { product, bare } = await send((size === ratedSize ? perRatedRound : perRound) / size, rounds)
        say(`${size} sessions: ${product.messages} messages by each`)
        if (size === ratedSize)
          rows.push(row(`messages per second, ${size} sessions`, '1/s', rate(product), rate(bare), { atLeast: 0.85 }))
        rows.push(row(`CPU per message, ${size} sessions`, 'ms', cost(product), cost(bare)))
        costs.push(cost(product))
      }
      const [first = 0] = costs
      const last = costs.at(-1) ?? 0
      rows.push(row(`CPU per message, ${sizes.at(-1)} ÷ ${sizes[0]} sessions`, 'ms', last, first, { atMost: 1.25 }))
      return rows
    })
  },
}

const rate = ({ messages: count, seconds }: Traffic) => count / seconds
const cost = ({ messages: count, cpuMs }: Traffic) => cpuMs / count
