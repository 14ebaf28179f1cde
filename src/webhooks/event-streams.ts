// The open streams of an API process: how many there may be, and when each should look for more in the log.
import type { Redis } from 'ioredis'
import { sleep } from '../platform/clock.ts'
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { gauge } from '../platform/metrics.ts'
import { closeRedis, connectSubscriber } from '../platform/redis.ts'
import { eventChannel, everySession } from './event-notice.ts'

export interface StreamSettings {
  /** Of one process: of everybody; of one session with its own keys; and how many of all are kept for admins, who have as many of one log. */
  maxStreams: number
  maxEach: number
  keptForAdmins: number
  /** A stream that has nothing to say says so this often, and looks whether it missed a notice. */
  heartbeatMs: number
  /** A reader that takes next to nothing for so long is dropped. */
  drainMs: number
}

const streamDefaults: StreamSettings = { maxStreams: 200, maxEach: 10, keptForAdmins: 50, heartbeatMs: 15_000, drainMs: 10_000 }
/** Notices in quick succession make one look. */
const restMs = 50
const openStreams = gauge('ujumbe_event_streams', 'Event streams open at an API process.')

interface StreamDeps {
  /** Any connection: streams listen over one of their own, made with the first of them. */
  redis: Redis
  prefix: string
  log: Log
}

export class EventStreams {
  readonly settings: StreamSettings
  private readonly deps: StreamDeps
  /** By session; null is the whole fleet. */
  private readonly bySession = new Map<string | null, Set<EventStream>>()
  private subscriber: Redis | undefined
  private count = 0
  private adminCount = 0

  constructor(deps: StreamDeps, settings: StreamSettings = streamDefaults) {
    this.deps = deps
    this.settings = settings
  }

  /** Close it in any case. @throws AppError `too_many_requests` */
  open(sessionId: string | null, isAdmin: boolean): EventStream {
    const { maxStreams, maxEach, keptForAdmins } = this.settings
    const streams = this.bySession.get(sessionId) ?? new Set()
    const alike = [...streams].filter((stream) => stream.isAdmin === isAdmin).length
    const isCrowded = isAdmin
      ? alike >= keptForAdmins
      : alike >= maxEach || this.count - this.adminCount >= maxStreams - keptForAdmins
    if (isCrowded || this.count >= maxStreams) {
      throw new AppError('too_many_requests', 'Too many event streams are open. Close one, or read /v1/events.', {
        retryAfterSeconds: 5,
      })
    }
    const stream = new EventStream(() => this.drop(sessionId, stream), isAdmin)
    this.bySession.set(sessionId, streams.add(stream))
    this.count += 1
    if (isAdmin) this.adminCount += 1
    openStreams.inc()
    if (this.count === 1) this.listen()
    return stream
  }

  async close(): Promise<void> {
    if (this.subscriber) await closeRedis(this.subscriber)
  }

  private drop(sessionId: string | null, stream: EventStream): void {
    const streams = this.bySession.get(sessionId)
    if (!streams?.delete(stream)) return
    if (streams.size === 0) this.bySession.delete(sessionId)
    this.count -= 1
    if (stream.isAdmin) this.adminCount -= 1
    openStreams.dec()
    // Those who publish notices hear that nobody listens, and publish fewer.
    if (this.count === 0)
      this.subscriber?.unsubscribe().catch((err: unknown) => this.deps.log.debug({ err }, 'stream.unsubscribe_failed'))
  }

  private listen(): void {
    this.subscriber ??= this.connect()
    this.subscriber.subscribe(eventChannel(this.deps.prefix)).then(
      () => this.wakeAll(), // for what happened before it stood
      (err: unknown) => this.deps.log.warn({ err }, 'stream.subscribe_failed'),
    )
  }

  private connect(): Redis {
    const subscriber = connectSubscriber(this.deps.redis, this.deps.log)
    subscriber.on('ready', () => this.wakeAll())
    subscriber.on('message', (_channel: string, text: string) => {
      if (text === everySession) return this.wakeAll()
      for (const sessionId of [null, ...text.split(',')]) {
        for (const stream of this.bySession.get(sessionId) ?? []) stream.wake()
      }
    })
    return subscriber
  }

  private wakeAll(): void {
    for (const streams of this.bySession.values()) for (const stream of streams) stream.wake()
  }
}

export class EventStream {
  /** Ends its place in the count. */
  readonly close: () => void
  readonly isAdmin: boolean
  private isWoken = false
  private resume: (() => void) | undefined

  constructor(close: () => void, isAdmin: boolean) {
    this.close = close
    this.isAdmin = isAdmin
  }

  wake(): void {
    this.isWoken = true
    this.resume?.()
  }

  /** Until there may be more, at most `ms`, or until `signal` aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    await sleep(Math.min(restMs, ms), signal)
    if (!this.isWoken && !signal.aborted) {
      const enough = new AbortController()
      this.resume = () => enough.abort()
      await sleep(Math.max(0, ms - restMs), AbortSignal.any([signal, enough.signal]))
      this.resume = undefined
    }
    this.isWoken = false
  }
}
