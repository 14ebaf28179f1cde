// How many jobs the retry tick may make for an endpoint now: none while its breaker is open or its receiver takes no more.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import { redisKey } from '../platform/redis.ts'
import { BreakerStates } from './breaker-state.ts'

/** For a receiver that answers: of jobs of one endpoint that the tick makes at once, so that those of others come between them. */
const roomWhenClosed = 100

export class EndpointRooms {
  /** The endpoint after which the tick looks next: where the queues take no more, each still has its turn. */
  turn = ''
  private readonly redis: Redis
  private readonly prefix: string
  private readonly log: Log
  private readonly breakers: BreakerStates

  constructor(redis: Redis, prefix: string, log: Log) {
    this.redis = redis
    this.prefix = prefix
    this.log = log
    this.breakers = new BreakerStates(redis, prefix)
  }

  /** A worker has as many of its jobs as it can use for a while. Never throws and never waits: more jobs would only be put off again. */
  markFull(endpointId: string, forMs: number): void {
    this.redis
      .set(this.key(endpointId), '1', 'PX', Math.ceil(forMs))
      .catch((err: unknown) => this.log.debug({ err, endpointId }, 'webhook.full_not_told'))
  }

  /** In the order of the ids. */
  async read(endpointIds: readonly string[]): Promise<number[]> {
    return Promise.all(
      endpointIds.map(async (endpointId) => {
        const [state, isFull] = await Promise.all([this.breakers.read(endpointId), this.redis.exists(this.key(endpointId))])
        if (state.openUntil === 0) return isFull === 1 ? 0 : roomWhenClosed
        return Math.max(state.openUntil, state.probeUntil) > Date.now() ? 0 : 1
      }),
    )
  }

  private key(endpointId: string): string {
    return redisKey(this.prefix, 'endpoint-full', endpointId)
  }
}
