// `npm start`: the fleet in the foreground against WhatsApp itself, under pm2-runtime, stopped in the right order.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { hasCode } from '../src/platform/errors.ts'
import { loadConfig } from '../src/platform/config.ts'
import { ecosystemFile, pm2Program, pm2Runner, prepareMachine, stopFleet } from './support/fleet.ts'

async function main(): Promise<number> {
  const config = loadConfig()
  const { env, adminKey } = await prepareMachine(config, {}, (line) => console.log(line))
  console.log(`Dashboard  http://${config.host}:${config.port}/   (API reference: /docs, queues: /queues)`)
  console.log(`Admin key  ${config.adminKey ? 'the one in UJUMBE_ADMIN_KEY' : `${adminKey}   (kept in ${config.adminKeyPath})`}`)
  console.log('Stop with Ctrl-C: sends under way are finished first.')

  // In a process group of its own, so that Ctrl-C reaches only this launcher: it knows the order in which to stop.
  const runtime = spawn(process.execPath, [pm2Program('pm2-runtime'), 'start', ecosystemFile], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  })
  const ended = once(runtime, 'exit') as Promise<[number | null]>
  let stopping: Promise<void> | undefined
  const stop = () => {
    stopping ??= stopFleet(pm2Runner(env)).catch((error: unknown) => {
      console.error(`Stopping in order failed (${String(error)}); ending all processes.`)
      runtime.kill('SIGTERM')
    })
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  const [code] = await ended
  await stopping
  return stopping ? 0 : (code ?? 1)
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(hasCode(error, 'configuration') ? `The configuration is not usable:\n${error.message}` : error)
    process.exit(1)
  },
)
