// The end of an outage as workers tell it to each other, over a real Redis.
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { hearOfReturn, tellOfReturn } from '../../src/fleet/share-network.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { startTestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

const log = pino({ level: 'silent' })

test('who got through is heard by every worker of its fleet, and by none of another fleet', async () => {
  const server = await startTestRedis()
  const redis = connectRedis(server.target, 'worker', log)
  const subscriber = connectRedis(server.target, 'subscriber', log)
  const heard = { one: 0, another: 0 }
  try {
    for (const prefix of ['one', 'another'] as const) {
      await hearOfReturn({ subscriber, prefix, log }, { heardOfReturn: () => (heard[prefix] += 1) })
    }
    tellOfReturn({ redis, prefix: 'one', log })
    await waitFor('it is heard', () => heard.one > 0)
    tellOfReturn({ redis, prefix: 'another', log })
    await waitFor('it is heard in the other fleet', () => heard.another > 0)
    expect(heard).toEqual({ one: 1, another: 1 })
  } finally {
    await Promise.all([closeRedis(redis), closeRedis(subscriber)])
    await server.close()
  }
})
