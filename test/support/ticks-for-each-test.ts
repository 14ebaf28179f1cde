// A Redis of its own for each test of repeating work, which may break it; what the test started is closed at its end.
import type { Redis } from 'ioredis'
import { afterEach, beforeEach } from 'vitest'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import type { RunningTicks } from '../../src/platform/run-tick.ts'
import { startTestRedis, type TestRedis } from './redis.ts'
import { silentLog } from './webhooks.ts'

export interface TickRig {
  redis: TestRedis
  /** Of role 'worker'. */
  connection: Redis
  /** To be closed after the test. */
  running: RunningTicks[]
}

/** To be called at the top of the file; `opened` is told of each rig before its test begins. */
export function ticksForEachTest(opened: (rig: TickRig) => void): void {
  let rig: TickRig
  beforeEach(async () => {
    const redis = await startTestRedis()
    rig = { redis, connection: connectRedis(redis.target, 'worker', silentLog), running: [] }
    opened(rig)
  })
  afterEach(async () => {
    await Promise.all(rig.running.map((ticks) => ticks.close(2_000)))
    await closeRedis(rig.connection)
    await rig.redis.close()
  })
}
