// Metrics of this process: one registry, defined beside what is measured, and shared through Redis so that any API process can show all of them.
import { hostname } from 'node:os'
import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { AggregatorRegistry, collectDefaultMetrics, Counter, Gauge, Histogram, Registry, type MetricObject } from 'prom-client'
import { jittered } from './backoff.ts'
import { withDeadline } from './clock.ts'
import type { Log } from './log.ts'
import { defineScript } from './redis-script.ts'
import { redisKey } from './redis.ts'

/** What one process counts. Labels come from fixed lists: never ids, numbers or texts of users. */
const processMetrics = new Registry()

export function counter<Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []) {
  return new Counter<Label>({ name, help, labelNames, registers: [processMetrics] })
}

export function gauge<Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []) {
  return new Gauge<Label>({ name, help, labelNames, registers: [processMetrics] })
}

export function histogram<Label extends string = never>(
  name: string,
  help: string,
  buckets: number[],
  labelNames: readonly Label[] = [],
) {
  return new Histogram<Label>({ name, help, labelNames, buckets, registers: [processMetrics] })
}

interface ShareDeps {
  redis: Redis
  prefix: string
  /** Kind of process, like `session-worker`. */
  name: string
  hostId?: string
  log: Log
}

const shareEveryMs = 10_000
/** A process that died shows its last numbers for so long. */
const keepMs = 25_000
const maxBytes = 512 * 1024
const maxProcesses = 500
const redisMs = 1_000

const shareScript = defineScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
`)

let hasDefaults = false

/** Shares the numbers of this process every ten seconds; `render` answers with those of all processes. */
export class SharedMetrics {
  readonly #deps: ShareDeps
  readonly #id = randomUUID()
  readonly #labels: Record<string, string>
  readonly #timer: NodeJS.Timeout
  #sharing: Promise<unknown> = Promise.resolve()

  constructor(deps: ShareDeps) {
    this.#deps = deps
    // Each process keeps series of its own: a sum over processes would fall when one ends, and a falling counter reads as a restart.
    this.#labels = { process: deps.name, host: deps.hostId ?? hostname(), pid: String(process.pid) }
    if (!hasDefaults) {
      hasDefaults = true
      collectDefaultMetrics({ register: processMetrics, prefix: 'ujumbe_', eventLoopMonitoringPrecision: 20 })
    }
    this.#timer = setInterval(() => void this.#share(), jittered(shareEveryMs, 0.1))
    this.#timer.unref()
    void this.#share()
  }

  /**
   * In Prometheus' text format: `more` of the whole fleet, and the numbers of every process. Its own are shared before, so that no
   * counter falls when another API process answers next. Without Redis it answers for itself alone.
   */
  async render(more: Registry): Promise<string> {
    const own = await this.#snapshot()
    await this.#share(own)
    const others = await this.#readOthers()
    const merged = AggregatorRegistry.aggregate([own, ...others])
    return `${await merged.metrics()}\n${await more.metrics()}`
  }

  /** Leaves its last numbers to be seen for some seconds. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#share()
  }

  async #snapshot(): Promise<MetricObject[]> {
    const metrics = (await processMetrics.getMetricsAsJSON()) as (MetricObject & { values: { labels: object }[] })[]
    return metrics.map((metric) => ({
      ...metric,
      // Nothing is summed up: every series has the labels of its process.
      aggregator: 'sum' as const,
      values: metric.values.map((value) => ({ ...value, labels: { ...value.labels, ...this.#labels } })),
    }))
  }

  /** One at a time; a Redis that is away is the business of others. */
  async #share(snapshot?: MetricObject[]): Promise<void> {
    const before = this.#sharing
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#sharing = promise
    const { redis, prefix, log } = this.#deps
    try {
      await before
      if (redis.status !== 'ready') return
      const text = JSON.stringify(snapshot ?? (await this.#snapshot()))
      if (Buffer.byteLength(text) > maxBytes) {
        log.warn({ bytes: Buffer.byteLength(text) }, 'metrics.too_large')
        return
      }
      const keys = [indexKey(prefix), snapshotKey(prefix, this.#id)]
      await withDeadline(shareScript(redis, keys, [this.#id, text, keepMs]), redisMs)
    } catch (err) {
      log.debug({ err }, 'metrics.not_shared')
    } finally {
      resolve()
    }
  }

  async #readOthers(): Promise<MetricObject[][]> {
    const { redis, prefix, log } = this.#deps
    try {
      if (redis.status !== 'ready') return []
      const ids = await withDeadline(redis.zrange(indexKey(prefix), '0', String(maxProcesses - 1)), redisMs)
      const others = ids.filter((id) => id !== this.#id)
      if (others.length === 0) return []
      const texts = await withDeadline(redis.mget(others.map((id) => snapshotKey(prefix, id))), redisMs)
      return texts.flatMap((text) => (text === null ? [] : [JSON.parse(text) as MetricObject[]]))
    } catch (err) {
      log.debug({ err }, 'metrics.others_not_read')
      return []
    }
  }
}

function indexKey(prefix: string): string {
  return redisKey(prefix, 'metrics')
}

function snapshotKey(prefix: string, id: string): string {
  return redisKey(prefix, 'metrics', id)
}
