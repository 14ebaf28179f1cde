// Both fleets at once, each over a sandbox of its own, so that figures can be measured in turns on the same machine.
import { join } from 'node:path'
import type { TestSandbox } from '../../../test/support/sandbox.ts'
import { startBareFleet, type BareFleet } from './bare-fleet.ts'
import { startProductFleet, type App, type ProductFleet } from './product-fleet.ts'
import type { Provisioned } from './provision.ts'
import { added, noTraffic, sendBare, sendThroughProduct, type IsDone, type Traffic } from './traffic.ts'

interface Options {
  provisioned: Provisioned
  dir: string
  /** Of each side. */
  workers: number
}

export interface SideBySide {
  product: ProductFleet
  sandbox: TestSandbox
  bare: BareFleet
  /** That many sessions are connected on both sides afterwards. */
  connect: (upTo: number) => Promise<void>
  /** Both in turns, so often; every session writes `perSession` messages each time. The product is done when `isDone` says so too. */
  send: (perSession: number, rounds: number, isDone?: IsDone) => Promise<{ product: Traffic; bare: Traffic }>
}

const apps = (workers: number): App[] => [
  ...Array.from({ length: workers }, (): App => 'session-worker'),
  'webhook-worker',
  'scheduler',
  'api',
]

/** Everything is gone when it resolves, whatever `run` did. */
export async function sideBySide<T>({ provisioned, dir, workers }: Options, run: (both: SideBySide) => Promise<T>): Promise<T> {
  const bare = await startBareFleet(provisioned, join(dir, 'bare'), workers)
  try {
    const sandbox = await provisioned.startSandbox('product')
    try {
      const product = await startProductFleet({ dir: join(dir, 'product'), apps: apps(workers), whatsappUrl: sandbox.url })
      try {
        return await run(together(provisioned, { bare, sandbox, product }))
      } finally {
        await product.close()
      }
    } finally {
      await sandbox.close()
    }
  } finally {
    await bare.close()
  }
}

function together(provisioned: Provisioned, { bare, sandbox, product }: Omit<SideBySide, 'connect' | 'send'>): SideBySide {
  const { people, devices } = provisioned
  return {
    bare,
    sandbox,
    product,
    connect: async (upTo) => {
      await bare.connect(upTo)
      await product.addSessions(devices.slice(product.sessionIds.length, upTo))
      await product.connected(upTo)
    },
    send: async (perSession, rounds, isDone) => {
      const sum = { product: noTraffic, bare: noTraffic }
      for (let round = 0; round < rounds; round += 1) {
        sum.bare = added(sum.bare, await sendBare(bare, product.sessionIds.length, perSession))
        sum.product = added(sum.product, await sendThroughProduct(product, sandbox, people, perSession, isDone))
      }
      return sum
    },
  }
}
