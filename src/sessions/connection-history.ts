// What a session's connection went through lately, in Redis: when it was up, why its sockets were replaced, what the watchdog did.
import type { Redis } from 'ioredis'
import { defineScript } from '../platform/redis-script.ts'
import { connectionsKey, historySinceKey, reconnectsKey, troubledKey, watchdogKey } from './session-keys.ts'

interface Noted {
  at: number
  /** When it was written here, by Redis' clock; rises with each entry of a session, whatever the clocks of its workers say. */
  notedAt?: number
}

export interface ConnectionChange extends Noted {
  /** `off`: closed because the user asked for it. */
  to: 'up' | 'down' | 'off'
}

export interface Reconnect extends Noted {
  reason: string
  /** Many sessions failed at once: it was the network, not the session. */
  isOutage?: boolean
}

export interface WatchdogAction extends Noted {
  action: 'reconnect'
  reason: string
}

/** Each newest first. */
export interface ConnectionHistory {
  changes: ConnectionChange[]
  reconnects: Reconnect[]
  actions: WatchdogAction[]
}

interface HistoryDeps {
  redis: Redis
  prefix: string
}

const keepMs = 7 * 24 * 3600 * 1000
const keep = { changes: 400, reconnects: 200, actions: 50 }
/** Who was in trouble is asked for an hour back. */
const troubledMs = 2 * 3600 * 1000
/** What workers note of a session between the loss and its newest note, or the next tick, still counts. */
const beforeTickMs = 15_000

/** Written when a connection is made or lost, so seldom. */
export async function recordConnection(deps: HistoryDeps, sessionId: string, change: ConnectionChange): Promise<void> {
  await push(deps, sessionId, { key: connectionsKey, count: keep.changes, entry: change })
}

/** When and why a socket ended. */
export async function recordReconnect(deps: HistoryDeps, sessionId: string, reconnect: Reconnect): Promise<void> {
  await push(deps, sessionId, { key: reconnectsKey, count: keep.reconnects, entry: reconnect })
}

export async function recordWatchdogAction(deps: HistoryDeps, sessionId: string, action: WatchdogAction): Promise<void> {
  await push(deps, sessionId, { key: watchdogKey, count: keep.actions, entry: action })
}

/** KEYS: list, troubled. ARGV: session, entry, count, how long the list and the set are kept. */
const pushScript = defineScript(`
local t = redis.call('TIME')
local notedAt = t[1] * 1000 + t[2] / 1000
local before = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0)
notedAt = math.max(notedAt, before + 0.001)
redis.call('LPUSH', KEYS[1], string.format('{"notedAt":%.3f,', notedAt) .. string.sub(ARGV[2], 2))
redis.call('LTRIM', KEYS[1], 0, ARGV[3] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], string.format('%.3f', notedAt), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 1
`)

async function push(
  { redis, prefix }: HistoryDeps,
  sessionId: string,
  { key, count, entry }: { key: typeof watchdogKey; count: number; entry: { at: number } },
): Promise<void> {
  await pushScript(
    redis,
    [key(prefix, sessionId), troubledKey(prefix)],
    [sessionId, JSON.stringify(entry), count, keepMs, troubledMs],
  )
}

/**
 * Sessions with an entry since then and when their newest was noted, so that nobody has to ask for each: while that stays so does their
 * history. Drops what is older.
 */
export async function listTroubled({ redis, prefix }: HistoryDeps, since: number): Promise<Map<string, number>> {
  const key = troubledKey(prefix)
  const results = await redis.multi().zremrangebyscore(key, '-inf', since).zrange(key, '0', '-1', 'WITHSCORES').exec()
  const pairs = (results?.[1]?.[1] ?? []) as string[]
  const newest = new Map<string, number>()
  for (let i = 0; i + 1 < pairs.length; i += 2) newest.set(pairs[i] as string, Number(pairs[i + 1]))
  return newest
}

/** A little before the first tick, or the first note, after Redis was emptied; what was noted earlier is lost, or was never. Null before that tick. */
export async function readHistorySince({ redis, prefix }: HistoryDeps): Promise<number | null> {
  const since = await redis.get(historySinceKey(prefix))
  return since === null ? null : Number(since)
}

/** Called at each tick; `now` by Redis' clock. The first one may come long after the loss: what is there was noted since. */
export async function keepHistorySince({ redis, prefix }: HistoryDeps, now: number): Promise<number> {
  const known = await readHistorySince({ redis, prefix })
  if (known !== null) return known
  const key = historySinceKey(prefix)
  const [, oldest = now] = await redis.zrange(troubledKey(prefix), '0', '0', 'WITHSCORES')
  const since = Math.floor(Math.min(now, Number(oldest))) - beforeTickMs
  const results = await redis.multi().set(key, since, 'NX').get(key).exec()
  return Number(results?.[1]?.[1] ?? now)
}

/**
 * Entries of an older version do not say when they were noted, and no sample counts them: while there are some the lists are all that is known,
 * and nothing was forgotten.
 */
export function isOfOlderVersion({ changes, reconnects }: ConnectionHistory): boolean {
  return [...changes, ...reconnects].some(({ notedAt }) => notedAt === undefined)
}

/** Full lists have dropped what was before their oldest entry. */
export function droppedUntil({ changes, reconnects }: ConnectionHistory): number | null {
  const ends = [
    changes.length >= keep.changes ? changes.at(-1) : null,
    reconnects.length >= keep.reconnects ? reconnects.at(-1) : null,
  ]
  return ends.reduce<number | null>((until, end) => (end ? Math.max(until ?? 0, (end.notedAt ?? end.at) - 1) : until), null)
}

/** One round trip for all; in the order of `sessionIds`. */
export async function readConnectionHistories(
  { redis, prefix }: HistoryDeps,
  sessionIds: readonly string[],
): Promise<ConnectionHistory[]> {
  if (sessionIds.length === 0) return []
  const pipeline = redis.pipeline()
  for (const id of sessionIds) {
    for (const key of [connectionsKey, reconnectsKey, watchdogKey]) pipeline.lrange(key(prefix, id), 0, -1)
  }
  const results = (await pipeline.exec()) ?? []
  const list = <T>(index: number): T[] => {
    const [error, entries] = results[index] ?? []
    if (error) throw error
    return ((entries ?? []) as string[]).map((entry) => JSON.parse(entry) as T)
  }
  return sessionIds.map((_, i) => ({
    changes: list<ConnectionChange>(3 * i),
    reconnects: list<Reconnect>(3 * i + 1),
    actions: list<WatchdogAction>(3 * i + 2),
  }))
}

/** What a session leaves behind when it is removed. */
export async function forgetConnections({ redis, prefix }: HistoryDeps, sessionId: string): Promise<void> {
  const keys = [connectionsKey, reconnectsKey, watchdogKey].map((key) => key(prefix, sessionId))
  await redis
    .multi()
    .del(...keys)
    .zrem(troubledKey(prefix), sessionId)
    .exec()
}
