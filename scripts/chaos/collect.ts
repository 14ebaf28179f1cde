// Gathers the history of a run from all who saw it: client, store, phones, server, receiver, link and logs.
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import type { Fleet } from '../support/fleet.ts'
import type { SandboxClient, SandboxMessage } from '../support/sandbox-client.ts'
import { readLiveSession } from '../../src/sessions/live-session.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type { Store } from '../../src/store/store.ts'
import type { Frame, History, ShownMessage, StoredMessage } from './check/history.ts'
import { leftInRedis, readShares } from './leftovers.ts'
import { countEndings, countHistory, countLines } from './count-paths.ts'
import type { EndingBooks } from './end-session.ts'
import type { Link } from './link.ts'
import { readTellingLines, ownershipOf } from './read-logs.ts'
import type { ChaosReceiver } from './receiver.ts'
import type { ChaosSession, Traffic } from './traffic.ts'

export interface CollectDeps {
  fleet: Fleet
  sandbox: SandboxClient
  redis: Redis
  link: Link
  receiver: ChaosReceiver
  traffic: Traffic
  sessions: readonly ChaosSession[]
  people: readonly string[]
  books: EndingBooks
}

const page = 200
const eventPage = 2_000

interface HistoryDeps extends CollectDeps {
  /** How often each fault hit something. */
  hits: Readonly<Record<string, number>>
  required: readonly string[]
  quarantineCount: () => number
}

export async function collectHistory(deps: HistoryDeps): Promise<History> {
  const { fleet, traffic, receiver, link, redis, sandbox, sessions, books } = deps
  const store = await openSqliteStore(fleet.config.sqlitePath)
  try {
    const lines = await readTellingLines(join(fleet.config.dataDir, 'logs'))
    const { endings, inboundGaps, lostWithDevice } = books
    const seen = {
      endings,
      inboundGaps,
      lostWithDevice,
      ...ownershipOf(lines, link.records),
      accepted: traffic.accepted,
      refused: traffic.refused,
      inbound: traffic.inbound,
      events: receiver.events,
      frames: await readFrames(deps),
    }
    const { decryptFailures: retryReceipts } = await sandbox.stats()
    const repeatedRequests = [...traffic.attempts.values()].filter((attempts) => attempts.length > 1).length
    const paths = countHistory(seen, { retryReceipts, quarantines: deps.quarantineCount(), repeatedRequests })
    return {
      ...seen,
      counts: { ...deps.hits, ...countEndings(endings), ...countLines(lines), ...paths },
      required: deps.required,
      shown: await readShown(deps),
      stored: await readStored(store),
      lastSequences: await readLastSequences(store, sessions),
      shares: await readShares(redis, fleet.config.redisPrefix),
      unconnected: await readUnconnected(redis, fleet.config.redisPrefix, sessions),
      leftovers: await leftInRedis(redis, fleet.config.redisPrefix),
    }
  } finally {
    await store.close()
  }
}

/** What others sent to people, and what sessions sent to themselves. */
async function readShown({ sandbox, people, sessions }: CollectDeps): Promise<ShownMessage[]> {
  const shown: ShownMessage[] = []
  const show = (phone: string, messages: readonly SandboxMessage[]) => {
    const inOrder = messages.toSorted((a, b) => a.order - b.order)
    shown.push(...inOrder.map(({ id }) => ({ phone, whatsappId: id })))
  }
  for (const phone of people) {
    show(
      phone,
      (await sandbox.messages(phone)).filter(({ fromMe }) => !fromMe),
    )
  }
  for (const { phoneNumber } of sessions) show(phoneNumber, await sandbox.messages(phoneNumber, { chat: phoneNumber }))
  return shown
}

async function readFrames({ sandbox, sessions }: CollectDeps): Promise<Frame[]> {
  const frames: Frame[] = []
  const idOf = new Map(sessions.map(({ phoneNumber, id }) => [phoneNumber, id]))
  for (let after = 0; ;) {
    const found = await sandbox.frames(after)
    for (const { at, phoneNumber, socket, id, outcome } of found) {
      const sessionId = idOf.get(phoneNumber) ?? phoneNumber
      const refusedWith = typeof outcome === 'number' ? outcome : null
      frames.push({ at, sessionId, socket, whatsappId: id, refusedWith, isAcked: outcome === 'taken' })
    }
    const last = found.at(-1)
    if (!last) return frames
    after = last.order
  }
}

async function readStored(store: Store): Promise<StoredMessage[]> {
  const stored: StoredMessage[] = []
  for (let cursor: string | undefined; ;) {
    const { data, nextCursor } = await store.messages.list({ limit: page, ...(cursor === undefined ? {} : { cursor }) })
    for (const { id, sessionId, direction, whatsappId, status, error } of data) {
      stored.push({ messageId: id, sessionId, direction, whatsappId, status, errorCode: error?.code ?? null })
    }
    if (nextCursor === null) return stored
    cursor = nextCursor
  }
}

/** `last`: what was read before, to go on from. */
export async function readLastSequences(
  store: Store,
  sessions: readonly ChaosSession[],
  last = new Map<string, number>(),
): Promise<Map<string, number>> {
  for (const { id } of sessions) {
    for (let afterSequence = last.get(id) ?? 0; ;) {
      const events = await store.events.list({ sessionId: id, afterSequence, limit: eventPage })
      last.set(id, events.at(-1)?.sequence ?? afterSequence)
      if (events.length < eventPage) break
      afterSequence = events.at(-1)?.sequence ?? afterSequence
    }
  }
  return last
}

/** Held by a living worker that says so. */
export async function readUnconnected(
  redis: Redis,
  prefix: string,
  sessions: readonly ChaosSession[],
): Promise<History['unconnected']> {
  const unconnected: History['unconnected'] = []
  for (const { id } of sessions) {
    const { state, holder } = await readLiveSession({ redis, prefix }, id)
    if (state !== 'connected') unconnected.push({ sessionId: id, text: holder ? `${state} at ${holder}` : 'held by nobody' })
  }
  return unconnected
}
