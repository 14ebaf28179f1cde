// `npm run dev`: fleet and sandbox on this machine, restarting on change, logs on the terminal.
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { freePort } from './support/ports.ts'
import { pm2Program, projectRoot, startFleet } from './support/fleet.ts'

const dataDir = resolve(process.env['UJUMBE_DATA_DIR'] ?? resolve(projectRoot, 'data'), 'dev')
const port = await freePort(Number(process.env['PORT'] ?? 3000))
const sandboxPort = await freePort(Number(process.env['UJUMBE_SANDBOX_PORT'] ?? 3100))
const fleet = await startFleet({
  env: {
    UJUMBE_DATA_DIR: dataDir,
    PORT: String(port),
    UJUMBE_SANDBOX_PORT: String(sandboxPort),
    UJUMBE_WITH_SANDBOX: 'true',
    UJUMBE_WATCH: 'true',
    UJUMBE_WHATSAPP_URL: `ws://127.0.0.1:${sandboxPort}/ws/chat`,
    UJUMBE_WEBHOOK_ALLOWED_NETWORKS: process.env['UJUMBE_WEBHOOK_ALLOWED_NETWORKS'] ?? '127.0.0.0/8',
  },
  onProgress: (line) => console.log(line),
})
console.log(`Dashboard  ${fleet.apiUrl}/   (API reference: /docs, queues: /queues)`)
console.log(`Sandbox    http://127.0.0.1:${sandboxPort}`)
console.log(`Admin key  ${fleet.admin.key}`)
console.log('Processes restart when src/ or workers/ change. Stop with Ctrl-C.')

const env = { ...process.env, PM2_HOME: `${dataDir}/pm2` }
const logs = spawn(process.execPath, [pm2Program('pm2'), 'logs', '--raw', '--lines', '0'], {
  env,
  stdio: ['ignore', 'inherit', 'inherit'],
})
const stop = () => {
  logs.kill()
  fleet.stop().then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
}
process.once('SIGINT', stop)
process.once('SIGTERM', stop)
