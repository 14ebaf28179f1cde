// `npm run dev`: fleet and sandbox on this machine, restarting on change, logs on the terminal.
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { planSandboxFleet } from './support/sandbox-fleet.ts'
import { pm2Program, projectRoot, startFleet } from './support/fleet.ts'

const dataDir = resolve(process.env['UJUMBE_DATA_DIR'] ?? resolve(projectRoot, 'data'), 'dev')
const { PORT = 3000, UJUMBE_SANDBOX_PORT = 3100, HOST, UJUMBE_WEBHOOK_ALLOWED_NETWORKS } = process.env
const { env: planned, controlUrl } = await planSandboxFleet({
  dataDir,
  port: Number(PORT),
  sandboxPort: Number(UJUMBE_SANDBOX_PORT),
})
const fleet = await startFleet({
  env: {
    ...planned,
    ...(HOST === undefined ? {} : { HOST }),
    ...(UJUMBE_WEBHOOK_ALLOWED_NETWORKS === undefined ? {} : { UJUMBE_WEBHOOK_ALLOWED_NETWORKS }),
    UJUMBE_WATCH: 'true',
  },
  onProgress: (line) => console.log(line),
})
console.log(`Dashboard  ${fleet.apiUrl}/   (API reference: /docs, queues: /queues)`)
console.log(`Sandbox    ${controlUrl}`)
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
