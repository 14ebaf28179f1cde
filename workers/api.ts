// An API process: REST, OpenAPI, Bull Board and metrics; any number of them share the port.
import { createApp } from '../src/http/app.ts'
import { startServer } from '../src/http/api-server.ts'
import { createBoard } from '../src/http/bull-board.ts'
import { createHttpDeps } from '../src/http/create-deps.ts'
import { loadConfig } from '../src/platform/config.ts'
import { runProcess } from '../src/platform/lifecycle.ts'
import { ensureAdminKey } from '../src/platform/local-secrets.ts'
import { createLog } from '../src/platform/log.ts'
import { closeRedis, connectRedis, requireRedis } from '../src/platform/redis.ts'
import { createKeyRing } from '../src/store/key-ring.ts'
import { openStore } from '../src/store/open-store.ts'

/** Below the 15 s that a stop may take altogether. */
const drainMs = 10_000

const config = loadConfig()
const log = createLog({ process: 'api', level: config.logLevel, pretty: process.stdout.isTTY, buffered: true })

await runProcess({ name: 'api', log }, async (life) => {
  await requireRedis(config)
  const store = await openStore(config, log)
  life.onStop('store', () => store.close())
  const redis = connectRedis(config, 'producer', log)
  life.onStop('redis', () => closeRedis(redis))
  const deps = createHttpDeps({
    config,
    store,
    redis,
    secretBox: createKeyRing(config, log),
    adminKey: ensureAdminKey(config).key,
    log,
    stopping: life.stopping,
  })
  life.onStop('queues', () => deps.close())
  const board = createBoard(deps)
  life.onStop('board', () => board.close())
  const server = await startServer(createApp({ ...deps, board }), {
    host: config.host,
    port: config.port,
    reusePort: config.apiInstances > 1,
  })
  life.onStop('server', () => server.close(drainMs))
  log.info({ host: config.host, port: server.port }, 'http.listening')
})
