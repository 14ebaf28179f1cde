// What the fleet knows of each endpoint's breaker, in Redis: failures in a row, open until when, and who tries first after that.
import type { Redis } from 'ioredis'
import { isoTime } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { redisKey } from '../platform/redis.ts'
import type { BreakerView } from './endpoint-view.ts'

export interface BreakerState {
  /** Failures in a row. */
  failureCount: number
  /** 0: closed. In the past: half-open, one may try. */
  openUntil: number
}

/** `probeUntil` in the future: the one try is under way. */
type SharedState = BreakerState & { probeUntil: number }

export interface BreakerSettings {
  /** So many failures in a row open it. */
  failureLimit: number
  /** How long it stays open the first time; doubles each time that the one try fails. */
  openMs: number
  maxOpenMs: number
  /** How long the one try may take before another may be made. */
  probeMs: number
}

/** Kept so long after the last failure. */
const rememberMs = 3_600_000
/** Longer than an attempt takes: what was under way when an endpoint was switched off or deleted says nothing of it any more. */
const offMs = 60_000

const failScript = `
if redis.call('HEXISTS', KEYS[1], 'off') == 1 then return {0, '0'} end
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local now, limit, base, cap, force = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local openUntil = tonumber(redis.call('HGET', KEYS[1], 'openUntil') or '0')
if openUntil <= now and (openUntil > 0 or force == '1' or failures >= limit) then
  local opens = redis.call('HINCRBY', KEYS[1], 'opens', 1)
  openUntil = now + math.min(cap, base * 2 ^ math.min(opens - 1, 20))
  redis.call('HSET', KEYS[1], 'openUntil', string.format('%.0f', openUntil))
  redis.call('HDEL', KEYS[1], 'probeUntil')
end
if openUntil > 0 and KEYS[2] then redis.call('ZADD', KEYS[2], string.format('%.0f', openUntil), ARGV[7]) end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {failures, string.format('%.0f', openUntil)}`

const probeScript = `
local now = tonumber(ARGV[1])
local openUntil = tonumber(redis.call('HGET', KEYS[1], 'openUntil') or '0')
if openUntil == 0 then return {'closed', '0'} end
local probeUntil = tonumber(redis.call('HGET', KEYS[1], 'probeUntil') or '0')
local blocked = math.max(openUntil, probeUntil)
if blocked > now then return {'blocked', string.format('%.0f', blocked)} end
redis.call('HSET', KEYS[1], 'probeUntil', string.format('%.0f', now + tonumber(ARGV[2])))
return {'probe', '0'}`

const succeedScript = `
if redis.call('HEXISTS', KEYS[1], 'off') == 0 and (ARGV[1] == '1' or not redis.call('HGET', KEYS[1], 'openUntil')) then
  redis.call('DEL', KEYS[1])
  if KEYS[2] then redis.call('ZREM', KEYS[2], ARGV[2]) end
end
return 1`

const switchOffScript = `
redis.call('DEL', KEYS[1])
if KEYS[2] then redis.call('ZREM', KEYS[2], ARGV[1]) end
redis.call('HSET', KEYS[1], 'off', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`

/** What an endpoint makes of its events, and apart from it what it makes of a replay. */
type BreakerKind = 'breaker' | 'replay-breaker'

export class BreakerStates {
  private readonly redis: Redis
  private readonly prefix: string
  private readonly kind: BreakerKind

  constructor(redis: Redis, prefix: string, kind: BreakerKind = 'breaker') {
    this.redis = redis
    this.prefix = prefix
    this.kind = kind
  }

  async read(endpointId: string): Promise<SharedState> {
    const found = await this.redis.hmget(this.key(endpointId), 'failures', 'openUntil', 'probeUntil')
    const [failureCount = 0, openUntil = 0, probeUntil = 0] = found.map(Number)
    return { failureCount, openUntil, probeUntil }
  }

  async view(endpointId: string): Promise<BreakerView> {
    return breakerView(await this.read(endpointId))
  }

  /** Counts a failure. Opens the breaker at the limit, when the one try failed, or when the caller says so. */
  async fail(endpointId: string, now: number, settings: BreakerSettings, opens: boolean): Promise<BreakerState> {
    const keys = this.keys(endpointId)
    const answer = (await this.redis.eval(
      failScript,
      keys.length,
      ...keys,
      now,
      settings.failureLimit,
      settings.openMs,
      settings.maxOpenMs,
      opens ? '1' : '0',
      rememberMs,
      endpointId,
    )) as [number, string]
    return { failureCount: answer[0], openUntil: Number(answer[1]) }
  }

  /** When the open time is over exactly one caller in the fleet gets `probe`. */
  async tryProbe(
    endpointId: string,
    now: number,
    probeMs: number,
  ): Promise<{ may: 'closed' | 'probe' | 'blocked'; until: number }> {
    const [may, until] = (await this.redis.eval(probeScript, 1, this.key(endpointId), now, probeMs)) as [
      'closed' | 'probe' | 'blocked',
      string,
    ]
    return { may, until: Number(until) }
  }

  /** Forgets the failures. While it is open only the one try closes it: an answer to an older request says little. */
  async succeed(endpointId: string, wasProbe: boolean): Promise<void> {
    const keys = this.keys(endpointId)
    await this.redis.eval(succeedScript, keys.length, ...keys, wasProbe ? '1' : '0', endpointId)
  }

  /** Nobody tries it any more: it is closed, and attempts that are still under way count for nothing. */
  async switchOff(endpointId: string): Promise<void> {
    const keys = this.keys(endpointId)
    await this.redis.eval(switchOffScript, keys.length, ...keys, endpointId, offMs)
  }

  /** It is tried again. */
  async switchOn(endpointId: string): Promise<void> {
    await this.redis.hdel(this.key(endpointId), 'off')
  }

  /** The one try was not made after all. */
  async abandonProbe(endpointId: string): Promise<void> {
    await this.redis.hdel(this.key(endpointId), 'probeUntil')
  }

  private key(endpointId: string): string {
    return redisKey(this.prefix, this.kind, endpointId)
  }

  /** Those of replays are not listed: nobody is told of them. */
  private keys(endpointId: string): string[] {
    return this.kind === 'breaker' ? [this.key(endpointId), openKey(this.prefix)] : [this.key(endpointId)]
  }
}

/** The breakers that are not closed, by the time until which they are open. */
function openKey(prefix: string): string {
  return redisKey(prefix, 'breakers-open')
}

/** For `endpointView`. Null where Redis cannot be asked: the rest of an endpoint is worth an answer all the same. */
export async function readBreakers(
  redis: Redis,
  prefix: string,
  endpointIds: readonly string[],
): Promise<(BreakerView | null)[]> {
  const states = new BreakerStates(redis, prefix)
  try {
    return await Promise.all(endpointIds.map((id) => states.view(id)))
  } catch {
    return endpointIds.map(() => null)
  }
}

function breakerView({ failureCount, openUntil }: BreakerState): BreakerView {
  const isOpen = openUntil > Date.now()
  return {
    state: openUntil === 0 ? 'closed' : isOpen ? 'open' : 'half-open',
    openUntil: isOpen ? isoTime(openUntil) : null,
    consecutiveFailureCount: failureCount,
  }
}

/** For an endpoint that is switched on, or off for good. While Redis is away it stays: it is forgotten within an hour of the last failure. */
export async function switchBreaker(
  { redis, prefix, log }: { redis: Redis; prefix: string; log: Log },
  endpointId: string,
  isOn: boolean,
): Promise<void> {
  const states = new BreakerStates(redis, prefix)
  try {
    await (isOn ? states.switchOn(endpointId) : states.switchOff(endpointId))
  } catch (err) {
    log.debug({ err, endpointId }, 'breaker.not_switched')
  }
}

/** How many breakers of the fleet are not closed, by state. */
export async function countBreakers(redis: Redis, prefix: string): Promise<{ open: number; 'half-open': number }> {
  const now = Date.now()
  const key = openKey(prefix)
  await redis.zremrangebyscore(key, '-inf', now - rememberMs) // forgotten, as their own keys are
  const [open, all] = await Promise.all([redis.zcount(key, `(${now}`, '+inf'), redis.zcard(key)])
  return { open, 'half-open': all - open }
}
