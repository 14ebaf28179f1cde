// The send queue of each session: a BullMQ queue `send-<sessionId>` whose jobs name a message and hold nothing of it.
import { LRUCache } from 'lru-cache'
import type { Redis } from 'ioredis'
import { createPulledWorker, createQueue, type Job, type PulledWorker, type Queue } from '../platform/queue.ts'
import { bullPrefix } from '../platform/redis.ts'
import { lanes, type Lane } from '../store/message-store.ts'

type SendJobData = { lane: Lane }
export type SendJob = Job<SendJobData>
export type SendWorker = PulledWorker<SendJobData>

/**
 * BullMQ priorities: the lower runs first; FIFO inside each. Jobs can only be added at an end, so each lane has a place ahead of its own, for
 * messages that come back after they were held.
 */
const priorityOf: Record<Lane, { ahead: number; own: number }> = {
  high: { ahead: 1, own: 2 },
  normal: { ahead: 3, own: 4 },
  bulk: { ahead: 5, own: 6 },
}
/** BullMQ keeps prioritised jobs by priority × 2³² + a counter. */
const scorePerPriority = 2 ** 32

export interface WaitingJob {
  id: string
  lane: Lane
  isAhead: boolean
}

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
  async add(sessionId: string, id: string, lane: Lane, place: 'own' | 'ahead' = 'own'): Promise<void> {
    const { queue, ready } = this.#prepared(sessionId)
    await ready
    await queue.add('send', { lane }, { jobId: id, priority: priorityOf[lane][place] })
  }

  /** In the order given. */
  async addAll(
    sessionId: string,
    rows: readonly { id: string; priority: Lane }[],
    place: 'own' | 'ahead' = 'own',
  ): Promise<void> {
    await inChunks(rows, (row) => this.add(sessionId, row.id, row.priority, place))
  }

  /** An active job is left where it is. */
  async removeAll(sessionId: string, ids: readonly string[]): Promise<void> {
    const { queue } = this.#prepared(sessionId)
    await inChunks(ids, (id) => queue.remove(id, { removeChildren: false }))
  }

  /** Waiting jobs in the order they would run, lane after lane. */
  async listWaiting(sessionId: string): Promise<WaitingJob[]> {
    const found = await this.redis.zrange(this.#waitingKey(sessionId), '0', '-1', 'WITHSCORES')
    const jobs: WaitingJob[] = []
    for (let i = 0; i + 1 < found.length; i += 2) jobs.push(waitingJob(found[i] as string, found[i + 1] as string))
    return jobs
  }

  /** Those of them that wait, in the order they would run. */
  async findWaiting(sessionId: string, ids: readonly string[]): Promise<WaitingJob[]> {
    if (ids.length === 0) return []
    const scores = await this.redis.zmscore(this.#waitingKey(sessionId), [...ids])
    const found = ids.flatMap((id, i) => {
      const score = scores[i]
      return score == null ? [] : [{ id, score }]
    })
    return found.toSorted((a, b) => Number(a.score) - Number(b.score)).map(({ id, score }) => waitingJob(id, score))
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

  #waitingKey(sessionId: string): string {
    return `${bullPrefix(this.prefix)}:${sendQueueName(sessionId)}:prioritized`
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

function waitingJob(id: string, score: string): WaitingJob {
  const priority = Math.floor(Number(score) / scorePerPriority)
  const lane = lanes.find((each) => priority <= priorityOf[each].own) ?? 'bulk'
  return { id, lane, isAhead: priority === priorityOf[lane].ahead }
}

async function inChunks<T>(items: readonly T[], run: (item: T) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < items.length; i += inFlight) await Promise.all(items.slice(i, i + inFlight).map(run))
}
