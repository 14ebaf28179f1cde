// The PM2 apps of one machine. `npm start`, `npm run demo` and `npm run dev` use it; so can `npx pm2 start ecosystem.config.js`.
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { loadConfig } from './src/platform/config.ts'
import { findRedisProgram, redisCommand } from './src/platform/embedded-redis.ts'

const root = import.meta.dirname
const config = loadConfig()
const withSandbox = process.env.UJUMBE_WITH_SANDBOX === 'true'
const watch = process.env.UJUMBE_WATCH === 'true' ? [join(root, 'src'), join(root, 'workers')] : false

/** PM2 kills after 1.6 s by default: too soon to hand sessions over. Workers stop themselves within 15 s. */
const tsProcess = (name, instances) => ({
  name,
  script: join(root, 'workers', `${name}.ts`),
  interpreter: join(root, 'node_modules', '.bin', 'node'),
  exec_mode: 'fork',
  instances,
  cwd: root,
  wait_ready: true,
  listen_timeout: 20_000,
  kill_timeout: 20_000,
  exp_backoff_restart_delay: 100,
  merge_logs: true,
  out_file: join(config.dataDir, 'logs', `${name}.log`),
  error_file: join(config.dataDir, 'logs', `${name}.log`),
  watch,
})

function redis() {
  if (config.redisUrl) return []
  const program = findRedisProgram(resolve(root, 'data'), process.env.PATH ?? '')
  if (!program) throw new Error('No redis-server found. Run `npm start` once (it fetches one), install it, or set REDIS_URL.')
  const directory = join(config.dataDir, 'redis')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const { command, args } = redisCommand(program, config.redisSocketPath, directory, process.env.PATH ?? '')
  return [
    {
      name: 'redis',
      script: command,
      interpreter: 'none',
      args,
      env: program.env,
      cwd: directory,
      kill_timeout: 20_000,
      out_file: join(config.dataDir, 'logs', 'redis.log'),
      error_file: join(config.dataDir, 'logs', 'redis.log'),
    },
  ]
}

mkdirSync(join(config.dataDir, 'logs'), { recursive: true })

export const apps = [
  ...redis(),
  ...(withSandbox ? [tsProcess('sandbox', 1)] : []),
  ...(config.sessionWorkers > 0 ? [tsProcess('session-worker', config.sessionWorkers)] : []),
  ...(config.webhookWorkers > 0 ? [tsProcess('webhook-worker', config.webhookWorkers)] : []),
  tsProcess('scheduler', 1),
  tsProcess('api', config.apiInstances),
]
