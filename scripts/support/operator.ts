// What the operator's commands have in common: saying what went wrong in one sentence, and whether the fleet runs.
import { pino } from 'pino'
import { loadConfig, type Config } from '../../src/platform/config.ts'
import { AppError } from '../../src/platform/errors.ts'
import { closeRedis, connectRedis, requireRedis } from '../../src/platform/redis.ts'
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

/** @throws AppError `configuration` while a session worker lives. A Redis that is down serves no worker. */
export async function requireStoppedFleet(config: Config): Promise<void> {
  try {
    await requireRedis(config, 0)
  } catch {
    return
  }
  const redis = connectRedis(config, 'worker', pino({ level: 'silent' }))
  try {
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
