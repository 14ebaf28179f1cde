// What a session's connection went through lately, in Redis: when it was up, why its sockets were replaced, what the watchdog did.
import type { Redis } from 'ioredis'
import { connectionsKey, reconnectsKey, troubledKey, watchdogKey } from './session-keys.ts'

export interface ConnectionChange {
  at: number
  /** `off`: closed because the user asked for it. */
  to: 'up' | 'down' | 'off'
}

export interface Reconnect {
  at: number
  reason: string
  /** Many sessions failed at once: it was the network, not the session. */
  isOutage?: boolean
}

export interface WatchdogAction {
  at: number
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

async function push(
  { redis, prefix }: HistoryDeps,
  sessionId: string,
  { key, count, entry }: { key: typeof watchdogKey; count: number; entry: { at: number } },
): Promise<void> {
  const list = key(prefix, sessionId)
  const troubled = troubledKey(prefix)
  await redis
    .multi()
    .lpush(list, JSON.stringify(entry))
    .ltrim(list, 0, count - 1)
    .pexpire(list, keepMs)
    .zadd(troubled, 'GT', entry.at, sessionId)
    .pexpire(troubled, troubledMs)
    .exec()
}

/** Sessions with an entry since then and the time of their newest, so that nobody has to ask for each. Drops what is older. */
export async function listTroubled({ redis, prefix }: HistoryDeps, since: number): Promise<Map<string, number>> {
  const key = troubledKey(prefix)
  const results = await redis.multi().zremrangebyscore(key, '-inf', since).zrange(key, '0', '-1', 'WITHSCORES').exec()
  const pairs = (results?.[1]?.[1] ?? []) as string[]
  const newest = new Map<string, number>()
  for (let i = 0; i + 1 < pairs.length; i += 2) newest.set(pairs[i] as string, Number(pairs[i + 1]))
  return newest
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
