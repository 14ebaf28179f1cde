// After the faults: waits until everything that was begun has ended, or the time is over. What then is unfinished the checker names.
import { setTimeout as sleep } from 'node:timers/promises'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import type { Store } from '../../src/store/store.ts'
import { checkFleet } from './check/check-fleet.ts'
import { mayBeMissed } from './check/may-be-missed.ts'
import { readLastSequences, readUnconnected, type CollectDeps } from './collect.ts'
import { leftInRedis, readShares } from './leftovers.ts'

/** Webhook retries alone may take 5 s, 30 s and 2 min in a row; what fails once more waits 10 min, which in a long run one event may. */
const leastMs = 240_000
const partOfRun = 0.6
const evenDeadlineMs = 60_000
const pollMs = 500
const unfinished = ['queued', 'sending', 'sent', 'delivered'] as const
/** When the receipt was for a device that is gone. */
const mayStay = new Set<string>(['sent', 'delivered'])
const page = 200

export async function comeToRest(deps: CollectDeps & { minutes: number }, progress: (line: string) => void): Promise<void> {
  const end = performance.now() + Math.max(leastMs, deps.minutes * 60_000 * partOfRun)
  const store = await openSqliteStore(deps.fleet.config.sqlitePath)
  const toSelf = new Set(deps.traffic.accepted.flatMap(({ isToSelf, whatsappId }) => (isToSelf ? [whatsappId] : [])))
  const known: Known = { toSelf, inbound: new Set(), lastSequences: new Map(), told: new Map(), toldCount: 0 }
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
  /** These end as `sent`. */
  toSelf: ReadonlySet<string>
  inbound: Set<string>
  lastSequences: Map<string, number>
  /** Sequences by session, of the first `toldCount` events that came. */
  told: Map<string, Set<number>>
  toldCount: number
}

async function whatIsMissing(deps: CollectDeps, store: Store, known: Known): Promise<string | null> {
  const { fleet, redis, sessions, traffic, books } = deps
  const unconnected = await readUnconnected(redis, fleet.config.redisPrefix, sessions)
  if (unconnected.length > 0) return `${unconnected.length} sessions are not connected`
  const isExcused = mayBeMissed(books)
  for (const status of unfinished) {
    const data = await listOutbound(store, status)
    const left = data.filter(({ sessionId, whatsappId, reachedAt }) => {
      if (status === 'sent' && known.toSelf.has(whatsappId)) return false
      const { sending = 0 } = reachedAt
      return !mayStay.has(status) || !isExcused({ sessionId, whatsappId, from: sending, until: Date.now() })
    })
    if (left.length > 0) return `some messages are still ${status}`
  }
  for (const message of traffic.inbound) {
    const { sessionId, whatsappId } = message
    if (known.inbound.has(whatsappId) || isExcused(message)) continue
    if (!(await store.messages.findByWhatsappId(sessionId, whatsappId))) return 'some inbound messages are not stored'
    known.inbound.add(whatsappId)
  }
  const missingEvents = await countMissingEvents(deps, store, known)
  if (missingEvents > 0) return `${missingEvents} events have not come`
  const leftovers = await leftInRedis(redis, fleet.config.redisPrefix)
  return leftovers.length > 0 ? `${leftovers.length} leftovers in Redis` : null
}

async function listOutbound(store: Store, status: (typeof unfinished)[number]): Promise<MessageRecord[]> {
  const found: MessageRecord[] = []
  for (let cursor: string | undefined; ;) {
    const more = cursor === undefined ? {} : { cursor }
    const { data, nextCursor } = await store.messages.list({ status, direction: 'outbound', limit: page, ...more })
    found.push(...data)
    if (nextCursor === null) return found
    cursor = nextCursor
  }
}

async function countMissingEvents({ receiver, sessions }: CollectDeps, store: Store, known: Known): Promise<number> {
  const { told } = known
  for (; known.toldCount < receiver.events.length; known.toldCount += 1) {
    const { sessionId = '', sequence = 0 } = receiver.events[known.toldCount] ?? {}
    told.set(sessionId, (told.get(sessionId) ?? new Set()).add(sequence))
  }
  let missing = 0
  for (const [sessionId, last] of await readLastSequences(store, sessions, known.lastSequences)) {
    missing += last - (told.get(sessionId)?.size ?? 0)
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
