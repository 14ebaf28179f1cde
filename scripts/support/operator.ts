// What the operator's commands have in common: saying what went wrong in one sentence, and whether the fleet runs.
import { pino } from 'pino'
import { loadConfig, type Config } from '../../src/platform/config.ts'
import { AppError } from '../../src/platform/errors.ts'
import { closeRedis, connectRedis, listFleetConnections, requireRedis } from '../../src/platform/redis.ts'
import { workerKey, workersKey } from '../../src/sessions/session-keys.ts'

/** Ends the process: with 0, or with 1 after a sentence. */
export function runCommand(main: (config: Config) => Promise<void>): void {
  const run = async () => main(loadConfig())
  run().then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error instanceof AppError ? error.message : error)
      process.exit(1)
    },
  )
}

/** @throws AppError `configuration` while a process of the fleet lives. A Redis that is down serves none. */
export async function requireStoppedFleet(config: Config): Promise<void> {
  try {
    await requireRedis(config, 0)
  } catch {
    return
  }
  const { redisUrl, redisSocketPath } = config
  const redis = connectRedis({ redisUrl, redisSocketPath }, 'worker', pino({ level: 'silent' }))
  try {
    // A Redis of others may refuse to say who is connected.
    const [connected] = await listFleetConnections(redis, config.redisPrefix).catch(() => [])
    if (connected !== undefined)
      throw new AppError('configuration', `A process of the fleet is connected to Redis from ${connected}. Stop the fleet first.`)
    // One that was stopped or cut off may come back while its lease lasts.
    for (const worker of await redis.zrange(workersKey(config.redisPrefix), '0', '-1'))
      if ((await redis.exists(workerKey(config.redisPrefix, worker))) === 1)
        throw new AppError('configuration', `The session worker ${worker} is running. Stop the fleet first.`)
  } finally {
    await closeRedis(redis)
  }
}

export function keyFileOf(config: Config): string {
  if (config.credentialsKeyFile) return config.credentialsKeyFile
  return config.credentialsKey ? 'UJUMBE_CREDENTIALS_KEY' : config.embeddedCredentialsKeyPath
}
