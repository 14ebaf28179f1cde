// `/faults`, `/frames`, `/noise-root`, `/stats` and `/reset`: what is done to the sandbox as a whole.
import { z } from 'zod'
import type { SandboxNetwork } from '../device.ts'
import type { PhoneBook } from '../phones/phone-book.ts'
import { faultSchema, type Faults } from '../server/faults.ts'
import type { FrameLog } from '../server/frame-log.ts'
import { resetStats, type Stats } from '../server/stats.ts'
import { parse, readBody } from './request.ts'
import type { Route } from './router.ts'

const framesSchema = z.object({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(5_000).default(5_000),
  /** The newest ones, however many came before. */
  last: z.coerce.number().int().min(1).max(5_000).optional(),
})

export interface OperationDeps {
  network: SandboxNetwork
  phones: PhoneBook
  faults: Faults
  stats: Stats
  frames: FrameLog
  /** The public root of the certificate chain. */
  noiseRoot: Uint8Array
}

export function operationRoutes({ network, phones, faults, stats, frames, noiseRoot }: OperationDeps): Route[] {
  return [
    {
      method: 'POST',
      path: '/faults',
      handle: async ({ raw }) => {
        const fault = await readBody(raw, faultSchema)
        return { status: 200, body: { fault, sockets: faults.set(fault) } }
      },
    },
    { method: 'GET', path: '/faults', handle: () => ({ status: 200, body: faults.list() }) },
    {
      method: 'DELETE',
      path: '/faults',
      handle: () => {
        faults.clear()
        return { status: 204 }
      },
    },
    {
      method: 'GET',
      path: '/noise-root',
      handle: () => ({ status: 200, body: { publicKey: Buffer.from(noiseRoot).toString('hex') } }),
    },
    {
      method: 'GET',
      path: '/frames',
      handle: ({ query }) => {
        const { after, limit, last } = parse(framesSchema, Object.fromEntries(query))
        return { status: 200, body: frames.list(last === undefined ? after : Math.max(after, frames.lastOrder - last), limit) }
      },
    },
    { method: 'GET', path: '/stats', handle: () => ({ status: 200, body: stats }) },
    {
      method: 'POST',
      path: '/reset',
      // phones first: what the network still has under way must not reach them
      handle: () => {
        faults.clear()
        phones.clear()
        network.reset()
        resetStats(stats)
        frames.clear()
        return { status: 204 }
      },
    },
  ]
}
