// A whole fleet for end-to-end tests: real processes under a PM2 of its own, a sandbox, a webhook receiver, a temporary data directory.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pairByQr, type DemoSession } from '../../scripts/demo/pair.ts'
import { startReceiver, type Receiver } from '../../scripts/demo/receiver.ts'
import { startFleet, type Fleet } from '../../scripts/support/fleet.ts'
import { unpaced } from '../../scripts/support/api-client.ts'
import { freePort } from '../../scripts/support/ports.ts'
import { SandboxClient } from '../../scripts/support/sandbox-client.ts'

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
  const base = 20_000 + Math.floor(Math.random() * 20_000)
  const port = await freePort(base)
  const sandboxPort = await freePort(port + 1)
  const fleet = await startFleet({
    env: {
      UJUMBE_DATA_DIR: dataDir,
      HOST: '127.0.0.1',
      PORT: String(port),
      UJUMBE_SANDBOX_PORT: String(sandboxPort),
      UJUMBE_WITH_SANDBOX: 'true',
      UJUMBE_WHATSAPP_URL: `ws://127.0.0.1:${sandboxPort}/ws/chat`,
      UJUMBE_WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
      ...options.env,
    },
  })
  const sandbox = new SandboxClient(`http://127.0.0.1:${sandboxPort}`)
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
