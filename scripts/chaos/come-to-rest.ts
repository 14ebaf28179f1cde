// After the faults: waits until everything that was begun has ended, or the time is over. What then is unfinished the checker names.
import { setTimeout as sleep } from 'node:timers/promises'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type { Store } from '../../src/store/store.ts'
import { checkFleet } from './check/check-fleet.ts'
import { readLastSequences, readUnconnected, type CollectDeps } from './collect.ts'
import { leftInRedis, readShares } from './leftovers.ts'

/** Webhook retries alone may take 5 s, 30 s and 2 min in a row. */
const deadlineMs = 240_000
const evenDeadlineMs = 60_000
const pollMs = 500
const unfinished = ['queued', 'sending', 'sent', 'delivered'] as const

export async function comeToRest(deps: CollectDeps, progress: (line: string) => void): Promise<void> {
  const end = performance.now() + deadlineMs
  const store = await openSqliteStore(deps.fleet.config.sqlitePath)
  const known: Known = { inbound: new Set(), lastSequences: new Map() }
  let last = ''
  try {
    for (;;) {
      const missing = await whatIsMissing(deps, store, known).catch((error: unknown) => String(error))
      if (missing === null) break
      if (performance.now() > end) {
        progress(`Not everything came to rest: ${missing}`)
        return
      }
      const kind = missing.replace(/\d+/g, 'n')
      if (kind !== last) progress(`Waiting: ${missing}`)
      last = kind
      await sleep(pollMs)
    }
    await untilEven(deps)
  } finally {
    await store.close()
  }
}

/** What need not be looked at again. */
interface Known {
  inbound: Set<string>
  lastSequences: Map<string, number>
}

async function whatIsMissing(deps: CollectDeps, store: Store, known: Known): Promise<string | null> {
  const { fleet, redis, sessions, traffic } = deps
  const unconnected = await readUnconnected(redis, fleet.config.redisPrefix, sessions)
  if (unconnected.length > 0) return `${unconnected.length} sessions are not connected`
  for (const status of unfinished) {
    const { data } = await store.messages.list({ status, direction: 'outbound', limit: 1 })
    if (data.length > 0) return `some messages are still ${status}`
  }
  for (const { sessionId, whatsappId } of traffic.inbound) {
    if (known.inbound.has(whatsappId)) continue
    if (!(await store.messages.findByWhatsappId(sessionId, whatsappId))) return 'some inbound messages are not stored'
    known.inbound.add(whatsappId)
  }
  const missingEvents = await countMissingEvents(deps, store, known)
  if (missingEvents > 0) return `${missingEvents} events have not come`
  const leftovers = await leftInRedis(redis, fleet.config.redisPrefix)
  return leftovers.length > 0 ? `${leftovers.length} leftovers in Redis` : null
}

async function countMissingEvents({ receiver, sessions }: CollectDeps, store: Store, known: Known): Promise<number> {
  const told = Map.groupBy(receiver.events, ({ sessionId }) => sessionId)
  let missing = 0
  for (const [sessionId, last] of await readLastSequences(store, sessions, known.lastSequences)) {
    missing += last - new Set(told.get(sessionId)?.map(({ sequence }) => sequence)).size
  }
  return missing
}

/** Shares follow within a minute. */
async function untilEven({ redis, fleet }: CollectDeps): Promise<void> {
  const end = performance.now() + evenDeadlineMs
  for (;;) {
    const shares = await readShares(redis, fleet.config.redisPrefix)
    const uneven = checkFleet({ shares, connections: [], claims: [], unconnected: [], leftovers: [] })
    if (uneven.length === 0 || performance.now() > end) return
    await sleep(pollMs)
  }
}
