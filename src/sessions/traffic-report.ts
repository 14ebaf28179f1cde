// What each worker reports of its sockets: the sessions it holds, with the time of the last frame from WhatsApp. One hash per worker.
import type { Redis } from 'ioredis'
import { trafficKey } from './session-keys.ts'

interface ReportDeps {
  redis: Redis
  prefix: string
}

/** Replaces the report of this worker; times are milliseconds since the epoch. Lives `keepMs`. */
export async function reportTraffic(
  { redis, prefix }: ReportDeps,
  incarnation: string,
  lastTrafficAt: ReadonlyMap<string, number>,
  keepMs: number,
): Promise<void> {
  if (lastTrafficAt.size === 0) return
  const key = trafficKey(prefix, incarnation)
  await redis.multi().del(key).hset(key, lastTrafficAt).pexpire(key, keepMs).exec()
}

/** When each session was last heard, by the reports of these workers. One command each, however many sessions they hold. */
export async function readTraffic({ redis, prefix }: ReportDeps, incarnations: readonly string[]): Promise<Map<string, number>> {
  const reports = await Promise.all(incarnations.map((incarnation) => redis.hgetall(trafficKey(prefix, incarnation))))
  const heardAt = new Map<string, number>()
  for (const report of reports) {
    for (const [id, at] of Object.entries(report)) heardAt.set(id, Math.max(Number(at), heardAt.get(id) ?? 0))
  }
  return heardAt
}
