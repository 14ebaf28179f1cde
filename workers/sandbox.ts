// The sandbox as a process: for demo, tests and development; never beside real accounts.
import { join } from 'node:path'
import { loadConfig } from '../src/platform/config.ts'
import { runProcess } from '../src/platform/lifecycle.ts'
import { createLog } from '../src/platform/log.ts'
import { quietConsole } from '../src/platform/quiet-console.ts'

const config = loadConfig()
const log = createLog({ process: 'sandbox', level: config.logLevel, pretty: process.stdout.isTTY })
// libsignal prints private keys; the filter must stand before anything loads it.
quietConsole(log)
const { startSandbox } = await import('../src/sandbox/sandbox.ts')

await runProcess({ name: 'sandbox', log }, async (life) => {
  const sandbox = await startSandbox({ port: config.sandboxPort, dataDir: join(config.dataDir, 'sandbox'), log })
  life.onStop('sandbox', () => sandbox.close())
  log.info({ url: sandbox.url, controlUrl: sandbox.controlUrl }, 'sandbox.started')
})
