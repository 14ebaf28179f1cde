// A whole fleet for end-to-end tests: real processes under a PM2 of its own, a sandbox, a webhook receiver, a temporary data directory.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pairByQr, type DemoSession } from '../../scripts/demo/pair.ts'
import { startReceiver, type Receiver } from '../../scripts/demo/receiver.ts'
import { startFleet, type Fleet } from '../../scripts/support/fleet.ts'
import { unpaced } from '../../scripts/support/api-client.ts'
import { SandboxClient } from '../../scripts/support/sandbox-client.ts'
import { planSandboxFleet } from '../../scripts/support/sandbox-fleet.ts'

export interface TestFleet {
  fleet: Fleet
  sandbox: SandboxClient
  receiver: Receiver
  dataDir: string
  /** A session paired with a phone of the sandbox, its webhook going to the receiver; unpaced unless `settings` say otherwise. */
  pairedSession(phoneNumber: string, settings?: Record<string, unknown>): Promise<DemoSession>
  close(): Promise<void>
}

/** `sessions`: how many sessions the test makes, whose webhook secrets the receiver waits for. */
export async function startTestFleet(options: { sessions: number; env?: Record<string, string> }): Promise<TestFleet> {
  const dataDir = await mkdtemp(join(tmpdir(), 'uj-fleet-'))
  const receiver = await startReceiver(options.sessions)
  const base = 20_000 + Math.floor(Math.random() * 12_000)
  const { env, controlUrl } = await planSandboxFleet({ dataDir, port: base, sandboxPort: base + 1 })
  const fleet = await startFleet({ env: { ...env, ...options.env } })
  const sandbox = new SandboxClient(controlUrl)
  return {
    fleet,
    sandbox,
    receiver,
    dataDir,
    pairedSession: async (phoneNumber, settings = unpaced) => {
      await sandbox.addPhone({ phoneNumber })
      const session = await fleet.admin.createSession({
        displayName: `Session of ${phoneNumber}`,
        webhookUrl: receiver.url,
        settings,
      })
      receiver.trust(session.webhookSecret ?? '')
      await pairByQr(fleet.admin, sandbox, session, phoneNumber)
      return session
    },
    close: async () => {
      await fleet.stop()
      await receiver.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
