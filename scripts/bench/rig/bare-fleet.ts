// The baseline: the same linked devices on bare Baileys, in as many processes, over a sandbox of their own.
import { join } from 'node:path'
import type { TestSandbox } from '../../../test/support/sandbox.ts'
import { answered, startChild, type Child } from './child.ts'
import type { Provisioned } from './provision.ts'

export interface BareFleet {
  sandbox: TestSandbox
  pids: number[]
  /** Logs the next devices in, shared out evenly over the processes. */
  connect(upTo: number): Promise<void>
  /** Every connected device sends this many; resolves when the last `sendMessage` has. */
  send(perSession: number): Promise<void>
  close(): Promise<void>
}

const connectMs = 90_000
const sendMs = 90_000

export async function startBareFleet(provisioned: Provisioned, dir: string, processCount: number): Promise<BareFleet> {
  const sandbox = await provisioned.startSandbox('bare')
  const children: Child[] = []
  const script = join(import.meta.dirname, '..', 'bare-baileys-process.ts')
  const close = async () => {
    await Promise.all(children.map((child) => child.stop()))
    await sandbox.close()
  }
  try {
    const env = { BENCH_URL: sandbox.url, BENCH_DEVICES: provisioned.devicesPath, BENCH_PEOPLE: provisioned.people.join(',') }
    for (let n = 0; n < processCount; n += 1) children.push(await startChild(script, { dir, env }))
  } catch (error) {
    await close()
    throw error
  }
  let connected = 0
  const tell = (child: Child, order: object, answer: string, withinMs: number) => {
    const done = answered(child.process, answer, withinMs)
    child.process.send(order)
    return done
  }
  return {
    sandbox,
    pids: children.map(({ pid }) => pid),
    connect: async (upTo) => {
      const devices = Array.from({ length: upTo - connected }, (_, index) => connected + index)
      connected = upTo
      await Promise.all(
        children.map((child, n) => {
          const mine = devices.filter((index) => index % children.length === n)
          return tell(child, { connect: mine }, 'connected', connectMs)
        }),
      )
    },
    send: async (perSession) => {
      await Promise.all(children.map((child) => tell(child, { send: perSession }, 'sent', sendMs)))
    },
    close,
  }
}
