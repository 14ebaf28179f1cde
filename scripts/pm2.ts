// `npm run pm2 -- ls`: PM2 as `npm start` uses it, with the processes of this data directory and no others.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { loadConfig } from '../src/platform/config.ts'
import { hasCode } from '../src/platform/errors.ts'
import { pm2Program, prepareMachine } from './support/fleet.ts'

async function main(): Promise<number> {
  const { env } = await prepareMachine(loadConfig(), {}, () => undefined)
  const pm2 = spawn(process.execPath, [pm2Program('pm2'), ...process.argv.slice(2)], { env, stdio: 'inherit' })
  const [code] = (await once(pm2, 'exit')) as [number | null]
  return code ?? 1
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(hasCode(error, 'configuration') ? `The configuration is not usable:\n${error.message}` : error)
    process.exit(1)
  },
)
