// What a fleet with a sandbox of its own on this machine is told: where its data are, and which free ports it takes.
import { freePort } from './ports.ts'

export interface SandboxFleet {
  env: Record<string, string>
  sandboxPort: number
  /** Of the sandbox's control API. */
  controlUrl: string
}

/** Its API and its sandbox take these ports, or the next free ones. */
export async function planSandboxFleet(wanted: { dataDir: string; port: number; sandboxPort: number }): Promise<SandboxFleet> {
  const port = await freePort(wanted.port)
  const sandboxPort = await freePort(wanted.sandboxPort === port ? port + 1 : wanted.sandboxPort)
  return {
    sandboxPort,
    controlUrl: `http://127.0.0.1:${sandboxPort}`,
    env: {
      UJUMBE_DATA_DIR: wanted.dataDir,
      HOST: '127.0.0.1',
      PORT: String(port),
      UJUMBE_SANDBOX_PORT: String(sandboxPort),
      UJUMBE_WITH_SANDBOX: 'true',
      UJUMBE_WHATSAPP_URL: `ws://127.0.0.1:${sandboxPort}/ws/chat`,
      UJUMBE_WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
    },
  }
}
