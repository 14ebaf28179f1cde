// Asking Redis whether a message may leave now: GCRA over session, recipient and fleet in one call.
import type { Redis } from 'ioredis'
import { sha256Hex } from '../platform/crypto.ts'
import { redisKey } from '../platform/redis.ts'
import { defineScript } from '../platform/redis-script.ts'

export interface PacingRequest {
  sessionId: string
  messageId: string
  recipient: string
  /** With jitter; null: no limit. */
  intervalMs: number | null
  burst: number
  /** How far ahead of its slots the session may be; when it is not given, as far as the burst goes. */
  aheadMs?: number
  recipientMs: number | null
  /** Null: no limit, or the session has waited for its turn in the fleet already. */
  fleetIntervalMs: number | null
  /**
   * The message before. `sentAgoMs`: it was acked late, and counts as sent at that time, less what an ack usually takes, so that what was slow
   * does not arrive in a bunch.
   */
  previous: { recipient: string; ackedAgoMs: number; sentAgoMs: number | null } | null
}

export type PacingAnswer =
  /** `waitMs`: until the next one may leave. */
  | { kind: 'granted'; waitMs: number }
  | { kind: 'session' | 'recipient'; waitMs: number }
  /** `isTurnKept`: when the wait is over the fleet need not be asked again. */
  | { kind: 'fleet'; waitMs: number; isTurnKept: boolean }

export interface PaceState {
  /** When the session's allowance is whole again; null: not known. Milliseconds since the epoch, here and below. */
  fullAt: number | null
  /** When each recipient may get the next one, in the order asked. */
  recipientNextAt: (number | null)[]
  /** Up to when turns in the fleet have been given out. */
  fleetAt: number | null
  /** When the session was connected again; null when it does not matter. */
  rampSince: number | null
}

/** The session's state is kept, so that a missing one means that it was lost. A recipient's is of no use for longer than its interval. */
const keepMs = 40 * 24 * 3_600_000
/** A slot that was used a little late still counts from its own time: timers and Redis would cost each interval some milliseconds. */
const lagMs = 200
/** Turns in the fleet are given out this far ahead; who comes later asks again. */
const maxFleetWaitMs = 30_000

function paceKey(prefix: string, sessionId: string): string {
  return redisKey(prefix, 'session', sessionId, 'pace')
}

/** Phone numbers stay in the store. */
function recipientPaceKey(prefix: string, sessionId: string, recipient: string): string {
  return redisKey(prefix, 'session', sessionId, 'pace', sha256Hex(`${sessionId} ${recipient}`).slice(0, 24))
}

function holdRulesKey(prefix: string, sessionId: string): string {
  return redisKey(prefix, 'session', sessionId, 'pace', 'rules')
}

function fleetPaceKey(prefix: string): string {
  return redisKey(prefix, 'fleet', 'pace')
}

/** Milliseconds of Redis' clock, which all workers share; tests give their own. */
const clock = `
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return t[1] * 1000 + t[2] / 1000
end
local function whole(ms) return string.format('%.0f', math.ceil(ms)) end
`

/**
 * `tat` is the time at which the allowance is whole again; a message may leave when that is at most `ahead` ahead. It is never
 * further ahead than burst intervals, whatever clock or setting it was written under. Missing, it counts as "just sent", burst and all; and
 * `since` then says until when a recipient without a key may have lost it with the rest. A key beside a recipient's names the message that it
 * was granted for: when others went first after all, that one does not wait for itself. The recipient's own key holds a time alone, as workers
 * of older versions read it.
 * KEYS: session, recipient, fleet, recipient before, whom the recipient's time was granted to.
 */
const reserveScript = defineScript(`${clock}
local now = clock(ARGV[8])
local id, interval, burst = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local recipientMs, fleetMs = tonumber(ARGV[4]), tonumber(ARGV[5])
local ackedAgo, sentAgo, ahead = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[9])
local state = redis.call('HMGET', KEYS[1], 'tat', 'id', 'since')
local tat, since = tonumber(state[1]), tonumber(state[3])
if not tat or not since then
  tat, since = now + burst * interval, now
  redis.call('HSET', KEYS[1], 'tat', tat, 'since', since)
  redis.call('PEXPIRE', KEYS[1], ${keepMs})
end
tat = math.min(tat, now + burst * interval)
if sentAgo >= 0 then tat = math.max(tat, now - sentAgo + interval) end
if recipientMs > 0 and ackedAgo >= 0 and ackedAgo < recipientMs then
  redis.call('SET', KEYS[4], now - ackedAgo + recipientMs, 'PX', math.ceil(recipientMs - ackedAgo))
end
local function close_recipient()
  redis.call('SET', KEYS[2], string.format('%.3f', now + recipientMs), 'PX', math.ceil(recipientMs))
end
local function granted()
  redis.call('HSET', KEYS[1], 'tat', tat, 'id', id)
  redis.call('PEXPIRE', KEYS[1], ${keepMs})
  if recipientMs > 0 then
    close_recipient()
    redis.call('SET', KEYS[5], id, 'PX', math.ceil(recipientMs))
  end
  return { 'granted', whole(math.max(0, tat - ahead - now)) }
end
if state[2] == id then
  tat = math.max(tat, now - ${lagMs} + interval)
  return granted()
end
local wait = tat - ahead - now
if interval > 0 and wait > 0 then
  redis.call('HSET', KEYS[1], 'tat', tat)
  return { 'session', whole(wait) }
end
if recipientMs > 0 then
  local free = tonumber(redis.call('GET', KEYS[2])) or since + recipientMs
  if free > now and redis.call('GET', KEYS[5]) ~= id then
    if free > now + recipientMs then
      close_recipient()
      free = now + recipientMs
    end
    return { 'recipient', whole(free - now) }
  end
end
if fleetMs > 0 then
  local turn = tonumber(redis.call('GET', KEYS[3]))
  if not turn or turn > now + 3600000 then turn = now + fleetMs end
  if turn > now + ${maxFleetWaitMs} then return { 'fleet_full', whole(turn - now - ${maxFleetWaitMs / 2}) } end
  redis.call('SET', KEYS[3], math.max(turn, now - ${lagMs}) + fleetMs, 'PX', ${keepMs})
  if turn > now then return { 'fleet', whole(turn - now) } end
end
tat = math.max(tat, now - ${lagMs}) + interval
return granted()
`)

/**
 * Without state nothing is known of what was sent: the wait begins when the session connects, not with its first message. A session that was
 * never connected has sent nothing. KEYS: session.
 */
const openScript = defineScript(`${clock}
local now = clock(ARGV[3])
if redis.call('EXISTS', KEYS[1]) == 0 then
  if ARGV[1] == 'new' then redis.call('HSET', KEYS[1], 'since', 0, 'tat', 0)
  else redis.call('HSET', KEYS[1], 'since', now, 'tat', now + ARGV[1]) end
end
redis.call('HSET', KEYS[1], 'ramp', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ${keepMs})
return 1
`)

/**
 * One call. A message that was granted last is granted again: it has not left, so that its slot counts from now and no second one is spent.
 * `now` instead of Redis' clock is for tests.
 */
export async function reserve(
  redis: Redis,
  prefix: string,
  request: PacingRequest,
  now: number | '' = '',
): Promise<PacingAnswer> {
  const { sessionId, recipient, previous } = request
  const recipientKey = recipientPaceKey(prefix, sessionId, recipient)
  const keys = [
    paceKey(prefix, sessionId),
    recipientKey,
    fleetPaceKey(prefix),
    recipientPaceKey(prefix, sessionId, previous?.recipient ?? recipient),
    redisKey(recipientKey, 'whose'),
  ]
  const args = [
    request.messageId,
    request.intervalMs ?? 0,
    request.burst,
    request.recipientMs ?? 0,
    request.fleetIntervalMs ?? 0,
    previous?.ackedAgoMs ?? -1,
    previous?.sentAgoMs ?? -1,
    now,
    request.aheadMs ?? (request.burst - 1) * (request.intervalMs ?? 0),
  ]
  const [kind, wait] = (await reserveScript(redis, keys, args)) as [
    'granted' | 'session' | 'recipient' | 'fleet' | 'fleet_full',
    string,
  ]
  const waitMs = Number(wait)
  if (kind === 'fleet' || kind === 'fleet_full') return { kind: 'fleet', waitMs, isTurnKept: kind === 'fleet' }
  return { kind, waitMs }
}

/** At each connection of a paced session. */
export async function openPace(
  redis: Redis,
  prefix: string,
  input: { sessionId: string; intervalMs: number | null; burst: number; rampSince: number | null; isNew: boolean },
  now: number | '' = '',
): Promise<void> {
  const allowance = input.isNew ? 'new' : input.burst * (input.intervalMs ?? 0)
  await openScript(redis, [paceKey(prefix, input.sessionId)], [allowance, input.rampSince ?? '', now])
}

/** The settings under which what is held back was judged; null: not known. */
export async function readHoldRules(redis: Redis, prefix: string, sessionId: string): Promise<string | null> {
  return redis.get(holdRulesKey(prefix, sessionId))
}

export async function writeHoldRules(redis: Redis, prefix: string, sessionId: string, rules: string): Promise<void> {
  await redis.set(holdRulesKey(prefix, sessionId), rules, 'PX', keepMs)
}

/** How far ahead turns in the fleet are given out, in milliseconds; 0 while nobody waits for the fleet. Where it is far, many wait. */
export async function readFleetWait(redis: Redis, prefix: string): Promise<number> {
  const [turn, time] = (await redis.pipeline().get(fleetPaceKey(prefix)).time().exec()) ?? []
  const [seconds, micros] = (time?.[1] ?? []) as unknown as [string, string]
  const now = Number(seconds) * 1_000 + Number(micros) / 1_000
  return turn?.[1] ? Math.max(0, Number(turn[1]) - now) : 0
}

/** For forecasts: one round trip, nothing is spent. */
export async function readPace(
  redis: Redis,
  prefix: string,
  sessionId: string,
  recipients: readonly string[],
): Promise<PaceState> {
  const pipeline = redis.pipeline().hmget(paceKey(prefix, sessionId), 'tat', 'ramp').get(fleetPaceKey(prefix))
  if (recipients.length > 0) pipeline.mget(recipients.map((recipient) => recipientPaceKey(prefix, sessionId, recipient)))
  const [session, fleet, known] = (await pipeline.exec()) ?? []
  const [tat, ramp] = (session?.[1] ?? []) as (string | null)[]
  const times = (known?.[1] ?? []) as (string | null)[]
  return {
    fullAt: tat ? Number(tat) : null,
    recipientNextAt: times.map((time) => (time === null ? null : Number(time))),
    fleetAt: fleet?.[1] ? Number(fleet[1]) : null,
    rampSince: ramp ? Number(ramp) : null,
  }
}
