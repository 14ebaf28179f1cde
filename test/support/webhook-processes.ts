// Webhook workers and schedulers as real processes over one store and one Redis, with an endpoint whose secret they can open.
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createKeyRing } from '../../src/store/key-ring.ts'
import type { EndpointRecord } from '../../src/store/event-store.ts'
import { createEndpoint } from '../../src/webhooks/create-endpoint.ts'
import { startReceiver, type Receiver } from './receiver.ts'
import { loopbackAllowed, silentLog, startWebhookBench, type WebhookBench } from './webhooks.ts'
import { startWorkerProcess, type WorkerProcess } from './worker-process.ts'

export interface WebhookProcesses {
  /** Nothing of it runs in the test's own process. */
  bench: WebhookBench
  receiver: Receiver
  endpoint: EndpointRecord
  /** `workers/<name>.ts`; killed at the end, when it still runs. */
  start: (name: string) => Promise<WorkerProcess>
  close(): Promise<void>
}

export async function startWebhookProcesses(): Promise<WebhookProcesses> {
  const [bench, receiver] = await Promise.all([startWebhookBench({ running: false }), startReceiver()])
  const dataDir = dirname(bench.storePath)
  const keyFile = join(dataDir, 'keys')
  await writeFile(keyFile, randomBytes(32).toString('base64'))
  const env = {
    UJUMBE_DATA_DIR: dataDir,
    UJUMBE_CREDENTIALS_KEY_FILE: keyFile,
    UJUMBE_REDIS_PREFIX: bench.prefix,
    UJUMBE_WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
    REDIS_URL: `unix://${bench.redis.socketPath}`,
  }
  // The processes open the secret with the key of the file.
  const source = { credentialsKey: undefined, credentialsKeyFile: keyFile, embeddedCredentialsKeyPath: '' }
  const { endpoint, secret } = await createEndpoint(
    { endpoints: bench.store.endpoints, secretBox: createKeyRing(source, silentLog), guardPolicy: loopbackAllowed },
    { sessionId: bench.sessionId, url: receiver.url, events: ['*'] },
  )
  receiver.secrets.push(secret)
  const processes: WorkerProcess[] = []
  return {
    bench,
    receiver,
    endpoint,
    start: async (name) => {
      const started = await startWorkerProcess(name, env)
      processes.push(started)
      return started
    },
    close: async () => {
      await Promise.all(processes.splice(0).map((each) => each.end('SIGKILL')))
      await bench.close()
      await receiver.close()
    },
  }
}
