// Tells those who read the event log live that there is more of it: over Redis, which sessions, a few times a second at most.
import type { Redis } from 'ioredis'
import { redisKey } from '../platform/redis.ts'

/** Events of these moments share a notice. */
const everyMs = 25
/** While nobody listens only this often: who begins to listen reads the store first. */
const unheardEveryMs = 1_000
/** More sessions than this are not named one by one. */
const maxNamed = 100
/** In place of names: look, whatever you read. */
export const everySession = '*'

export function eventChannel(prefix: string): string {
  return redisKey(prefix, 'events')
}

export class EventNotice {
  private readonly redis: Redis
  private readonly channel: string
  private readonly sessionIds = new Set<string>()
  private timer: NodeJS.Timeout | undefined
  private isPublishing = false
  private isHeard = true

  constructor(redis: Redis, prefix: string) {
    this.redis = redis
    this.channel = eventChannel(prefix)
  }

  /** Never throws and never waits. What is not heard is read later: streams look for themselves as well. */
  tell(sessionId: string): void {
    if (this.sessionIds.size <= maxNamed) this.sessionIds.add(sessionId)
    this.schedule()
  }

  close(): void {
    clearTimeout(this.timer)
  }

  private schedule(): void {
    if (this.timer || this.isPublishing) return
    this.timer = setTimeout(() => void this.publish(), this.isHeard ? everyMs : unheardEveryMs)
    this.timer.unref()
  }

  /** One at a time, so that a Redis that is away holds one command and not a crowd. */
  private async publish(): Promise<void> {
    this.timer = undefined
    const text = this.sessionIds.size > maxNamed ? everySession : [...this.sessionIds].join(',')
    this.sessionIds.clear()
    this.isPublishing = true
    try {
      this.isHeard = (await this.redis.publish(this.channel, text)) > 0
    } catch {
      this.isHeard = false
    }
    this.isPublishing = false
    if (this.sessionIds.size > 0) this.schedule()
  }
}
