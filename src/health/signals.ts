// What the health score is made of: the signals of one session, and how raw facts about it become signals. No I/O.
import type { ConnectionHistory } from '../sessions/connection-history.ts'
import type { AckedMessage, SessionWork } from '../store/health-store.ts'
import type { SessionRecord, SessionStatus } from '../store/session-store.ts'
import { connectedTime, type ConnectionWindow } from './connected-time.ts'
import type { SampledPast } from './sample-counts.ts'

export interface HealthSignals {
  state: SessionStatus
  statusReason: string | null
  /** WhatsApp does not let it write to new contacts. */
  isRestricted: boolean
  /** Whether a living worker says that it holds the socket. */
  isHeld: boolean
  /** It should be connected and is not, since so long; 0 while it is, or when it should not be. */
  notConnectedSeconds: number
  /** Of the time it should have been connected; null before it ever was. */
  uptimePercent: number | null
  downSeconds: number
  /** In the window. */
  reconnectCount: number
  /** Of the last hour, without those in outages of the network; older than ten minutes they count less and less. */
  recentReconnects: number
  /** Of the messages that WhatsApp acknowledged long enough ago, the part that was delivered, 0 to 1; null with too few to tell. */
  deliveryRate: number | null
  ackLatencyMsP95: number | null
  /** For how long WhatsApp has acknowledged nothing although messages were sent; 0 when it does. */
  unackedSeconds: number
  /** How often the socket was replaced for it. */
  unackedReconnects: number
  secondsSinceLastEvent: number | null
  /** Since WhatsApp was last heard, a ping's answer included; null while nobody listens. */
  heartbeatAgeSeconds: number | null
  queueDepth: number
  oldestQueuedSeconds: number | null
  /** Messages wait that may leave, and none has left for so long, beyond what the session's own pace explains. */
  stalledSeconds: number
}

/** What is known of one session at a moment. Times are milliseconds since the epoch. */
export interface SessionFacts {
  now: number
  /** How far back uptime, reconnects, delivery rate and latency look. */
  windowMs: number
  session: Pick<
    SessionRecord,
    | 'status'
    | 'statusReason'
    | 'phoneNumber'
    | 'lid'
    | 'restriction'
    | 'settings'
    | 'createdAt'
    | 'updatedAt'
    | 'lastConnectedAt'
    | 'lastEventAt'
  >
  isHeld: boolean
  /** Since when nobody has reported the socket of a session that counts as connected; null when it is reported. */
  unheardSince: number | null
  heardAt: number | null
  history: ConnectionHistory
  /** Null where `history` knows all of the window. */
  past: SampledPast | null
  work: SessionWork
  acked: readonly AckedMessage[]
  /** When sessions were last seen to wait long for the limit of the whole fleet; null: not lately. */
  fleetBoundAt: number | null
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs
/** A phone that is on answers within seconds; one that is off is no fault of the session, so some may be missing. */
const deliveredWithinMs = 2 * minuteMs
const fewestToTell = 5
/** An ack is waited for so long before the socket is replaced. */
const ackTimeoutMs = 20_000
/** Replaced again within this time: the same trouble. */
const unackedGapMs = 2 * minuteMs
const fullWeightMs = 10 * minuteMs
const leastStalledMs = minuteMs
/** Turns in the fleet are given out half a minute ahead; a session that waits for a minute does so only where they are nearly used up. */
const boundFromMs = 10_000

export function signalsOf(facts: SessionFacts): HealthSignals {
  const { now, windowMs, session, history, work } = facts
  const since = now - windowMs
  const window = connectionWindow(facts)
  const { isConnected, isWanted } = window
  const lostAt =
    facts.unheardSince ?? (session.status === 'reconnecting' ? lostSince(history.changes) : null) ?? session.updatedAt
  const past = facts.past?.samples ?? []
  const known = facts.past?.until ?? -Infinity
  const inPast = past.filter(({ at }) => at > since)
  const recent = connectedTime(history.changes, { ...window, since: Math.max(since, known) })
  const upMs = recent.upMs + sumOf(inPast.map((sample) => sample.upMs))
  const downMs = recent.downMs + sumOf(inPast.map((sample) => sample.downMs))
  const inWindow = history.reconnects.filter(({ at, notedAt = at }) => at > since && notedAt > known)
  return {
    state: session.status,
    statusReason: session.statusReason,
    isRestricted: session.restriction !== null && session.restriction.until > now,
    isHeld: facts.isHeld,
    notConnectedSeconds: isWanted && !isConnected ? seconds(now - lostAt) : 0,
    uptimePercent: upMs + downMs === 0 ? null : percent(upMs / (upMs + downMs)),
    downSeconds: seconds(downMs),
    reconnectCount: inWindow.length + sumOf(inPast.map(({ lostCount }) => lostCount)),
    recentReconnects: recentReconnects(facts),
    ...deliverySignals(facts),
    ...unackedSignals(facts, window),
    secondsSinceLastEvent: session.lastEventAt === null ? null : seconds(now - session.lastEventAt),
    heartbeatAgeSeconds: session.status === 'connected' && facts.heardAt !== null ? seconds(now - facts.heardAt) : null,
    queueDepth: work.depth,
    oldestQueuedSeconds: work.oldestQueuedAt === null ? null : seconds(now - work.oldestQueuedAt),
    stalledSeconds: isConnected ? stalledSeconds(facts) : 0,
  }
}

/** The first of the notes of its loss; several workers may have noted it. */
function lostSince(changes: ConnectionHistory['changes']): number | null {
  const lastOther = changes.findIndex(({ to }) => to !== 'down')
  const lost = lastOther === -1 ? changes : changes.slice(0, lastOther)
  return lost.at(-1)?.at ?? null
}

export function connectionWindow({ now, windowMs, session: { status }, unheardSince }: SessionFacts): ConnectionWindow {
  return {
    since: now - windowMs,
    now,
    lostAt: unheardSince,
    isConnected: status === 'connected' && unheardSince === null,
    isWanted: status === 'connected' || status === 'connecting' || status === 'reconnecting',
  }
}

function recentReconnects({ history, past, now }: SessionFacts): number {
  const weightAt = (at: number) => Math.min(1, Math.max(0, 1 - (now - at - fullWeightMs) / (hourMs - fullWeightMs)))
  const known = past?.until ?? -Infinity
  const noted = history.reconnects.filter(({ at, notedAt = at, isOutage }) => isOutage !== true && notedAt > known)
  const sampled = past?.samples ?? []
  const sum =
    sumOf(noted.map(({ at }) => weightAt(at))) +
    sumOf(sampled.map(({ at, lostCount, outageCount }) => (lostCount - outageCount) * weightAt(at)))
  return Math.round(sum * 10) / 10
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}

function deliverySignals({ acked, now, windowMs, session }: SessionFacts) {
  const since = now - windowMs
  const inWindow = acked.filter(({ sentAt }) => sentAt > since)
  const old = inWindow.filter(({ sentAt, recipient }) => sentAt <= now - deliveredWithinMs && isReported(recipient, session))
  const delivered = old.filter(({ isDelivered }) => isDelivered).length
  const latencies = inWindow.map(({ sendingAt, sentAt }) => sentAt - sendingAt).toSorted((a, b) => a - b)
  return {
    deliveryRate: old.length < fewestToTell ? null : Math.round((delivered / old.length) * 1_000) / 1_000,
    ackLatencyMsP95: latencies[Math.ceil(latencies.length * 0.95) - 1] ?? null,
  }
}

/** What one writes to oneself is never reported as delivered; receipts of a group's members say nothing of the whole group. */
function isReported(recipient: string, { phoneNumber, lid }: SessionFacts['session']): boolean {
  return !recipient.endsWith('@g.us') && recipient !== lid && recipient !== `${phoneNumber}@s.whatsapp.net`
}

/** From sockets that were replaced one after the other for want of acks, and from what is on its way now. */
function unackedSignals({ now, history, work, session }: SessionFacts, { isConnected, isWanted }: ConnectionWindow) {
  const none = { unackedSeconds: 0, unackedReconnects: 0 }
  const { sendingSince } = work
  const replaced = history.reconnects.filter(({ reason }) => reason === 'no_ack')
  const end = replaced.findIndex(({ at }, i) => at - (replaced[i + 1]?.at ?? -Infinity) > unackedGapMs)
  const row = replaced.slice(0, end + 1)
  const [last, first] = [row[0], row.at(-1)]
  const isStillSending = isConnected && last !== undefined && sendingSince !== null && sendingSince <= last.at
  // The moment between two sockets of the row is part of it.
  if (isWanted && first && last && (isStillSending || now - last.at < unackedGapMs / 2)) {
    const until = isStillSending ? now : last.at
    return { unackedSeconds: seconds(until - first.at + ackTimeoutMs), unackedReconnects: row.length }
  }
  if (!isConnected || sendingSince === null) return none
  return { unackedSeconds: seconds(now - Math.max(sendingSince, session.lastConnectedAt ?? 0)), unackedReconnects: 0 }
}

/** Whether the limit of the whole fleet may keep a session waiting for so long that its queue looks stalled. `waitMs`: how far ahead turns are given out. */
export function isFleetBound(waitMs: number): boolean {
  return waitMs > boundFromMs
}

function stalledSeconds({ now, work, acked, session, fleetBoundAt }: SessionFacts): number {
  if (work.readySince === null) return 0
  const { messagesPerMinute } = session.settings
  const paceMs = messagesPerMinute === null ? 0 : (3 * minuteMs) / messagesPerMinute
  const sentAt = acked.map((message) => message.sentAt)
  const movedAt = Math.max(work.readySince, session.lastConnectedAt ?? 0, fleetBoundAt ?? 0, ...sentAt)
  return seconds(Math.max(0, now - movedAt - Math.max(leastStalledMs, paceMs)))
}

function seconds(ms: number): number {
  return Math.max(0, Math.round(ms / 1_000))
}

/** Rounded down, so that 100 means that nothing was missing. */
function percent(part: number): number {
  return Math.floor(part * 10_000) / 100
}
