// The send queue of each session: a BullMQ queue `send-<sessionId>` whose jobs name a message and hold nothing of it.
import { LRUCache } from 'lru-cache'
import type { Redis } from 'ioredis'
import { createPulledWorker, createQueue, type Job, type Queue, type Worker } from '../platform/queue.ts'
import { bullPrefix } from '../platform/redis.ts'
import type { Lane } from '../store/message-store.ts'

type SendJobData = { lane: Lane }
export type SendJob = Job<SendJobData>
export type SendWorker = Worker<SendJobData>

/** BullMQ priorities: the lower runs first; FIFO inside each. */
export const priorityOf: Record<Lane, number> = { high: 1, normal: 2, bulk: 3 }

const namePrefix = 'send-'
/** Commands of one repair that are under way at once. */
const inFlight = 256

export function sendQueueName(sessionId: string): string {
  return `${namePrefix}${sessionId}`
}

interface Prepared {
  queue: Queue<SendJobData>
  /** Settles when the queue's settings are in Redis. */
  ready: Promise<void>
}

/**
 * The send queues of one process over one connection; at most `maxOpen` BullMQ objects (7 KB each) at a time.
 * A queue runs one job at a time whoever asks (`concurrency` 1), so that a stale holder can neither take a second job nor give one back late.
 */
export class SendQueues {
  readonly redis: Redis
  readonly prefix: string
  #open: LRUCache<string, Prepared>
  #listeners = new Set<() => void>()
  #isLost = false

  constructor(redis: Redis, prefix: string, maxOpen = 5_000) {
    this.redis = redis
    this.prefix = prefix
    this.#open = new LRUCache<string, Prepared>({
      max: maxOpen,
      dispose: ({ queue }) => void queue.close().catch(() => undefined),
    })
    redis.on('close', this.#onLost)
    redis.on('ready', this.#onReady)
  }

  /** Called each time Redis is back after it was away; it may have come back empty. Returns the way to stop listening. */
  onReturn(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Has no effect when a job of this id is there. Rejects when Redis is away. */
  async add(sessionId: string, id: string, lane: Lane): Promise<void> {
    const { queue, ready } = this.#prepared(sessionId)
    await ready
    await queue.add('send', { lane }, { jobId: id, priority: priorityOf[lane] })
  }

  /** In the order given. */
  async addAll(sessionId: string, rows: readonly { id: string; priority: Lane }[]): Promise<void> {
    await inChunks(rows, (row) => this.add(sessionId, row.id, row.priority))
  }

  /** An active job is left where it is. */
  async removeAll(sessionId: string, ids: readonly string[]): Promise<void> {
    const { queue } = this.#prepared(sessionId)
    await inChunks(ids, (id) => queue.remove(id, { removeChildren: false }))
  }

  /** Ids of waiting jobs in the order they would run, lane after lane. */
  async listWaiting(sessionId: string): Promise<string[]> {
    return this.#prepared(sessionId).queue.getRanges(['prioritized'], 0, -1, true)
  }

  /**
   * Gives every active job back to the head of its lane, whoever took it: only the session's holder may call this, and only while it has
   * no job itself. The lock of a dead holder may have expired, and then BullMQ wants the token "0".
   */
  async reclaimActive(sessionId: string): Promise<number> {
    const { queue } = this.#prepared(sessionId)
    const ids = await queue.getRanges(['active'], 0, -1, true)
    for (const id of ids) {
      const token = await this.redis.get(`${bullPrefix(this.prefix)}:${sendQueueName(sessionId)}:${id}:lock`)
      const job = await queue.getJob(id)
      if (job) await job.moveToWait(token ?? '0')
      else await queue.remove(id, { removeChildren: false })
    }
    return ids.length
  }

  /** Writes the queue's settings again, which a Redis that lost its data has forgotten. */
  async prepare(sessionId: string): Promise<void> {
    this.#open.delete(sessionId)
    await this.#prepared(sessionId).ready
  }

  createWorker(sessionId: string): SendWorker {
    return createPulledWorker<SendJobData>(sendQueueName(sessionId), this.redis, this.prefix)
  }

  /** The connection is the caller's to close. */
  close(): void {
    this.redis.off('close', this.#onLost)
    this.redis.off('ready', this.#onReady)
    this.#listeners.clear()
    this.#open.clear()
  }

  #onLost = (): void => {
    this.#isLost = true
  }

  #onReady = (): void => {
    if (!this.#isLost) return
    this.#isLost = false
    this.#open.clear() // settings are written again at the next use
    for (const listener of this.#listeners) listener()
  }

  #prepared(sessionId: string): Prepared {
    const known = this.#open.get(sessionId)
    if (known) return known
    const queue = createQueue<SendJobData>(sendQueueName(sessionId), this.redis, this.prefix, { removeOnComplete: true })
    const ready = queue.setGlobalConcurrency(1).then(
      () => undefined,
      (error: unknown) => {
        if (this.#open.peek(sessionId)?.queue === queue) this.#open.delete(sessionId)
        throw error
      },
    )
    ready.catch(() => undefined)
    const prepared = { queue, ready }
    this.#open.set(sessionId, prepared)
    return prepared
  }
}

async function inChunks<T>(items: readonly T[], run: (item: T) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < items.length; i += inFlight) await Promise.all(items.slice(i, i + inFlight).map(run))
}
