// The two-level lease in Redis: one heartbeat per worker incarnation, and `{owner, epoch}` per session that is worth as much as its owner's heartbeat.
import type { Redis } from 'ioredis'
import { defineScript } from '../platform/redis-script.ts'
import { fleetRunKey, leaseKey, quarantineKey, workerKey, workersKey } from './session-keys.ts'

export interface LeaseDeps {
  redis: Redis
  prefix: string
  ttlMs: number
}

/** One session's lease as its holder knows it. */
export interface HeldEpoch {
  sessionId: string
  epoch: number
}

// A Redis that restarted, failed over or was emptied may have lost claims whose holders are still trusted. Its run id is another one, or
// ours is gone: from then on for one TTL, sessions that were ever held stay where they are, while holders put their leases back.
const watchRun = `
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or 'unknown'
if redis.call('GET', KEYS[1]) ~= run then
  redis.call('SET', KEYS[1], run)
  redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
end
`

const renewScript = defineScript(`${watchRun}
if ARGV[5] ~= '' then redis.call('DEL', ARGV[4] .. ARGV[5]) redis.call('ZREM', KEYS[3], ARGV[5]) end
local existed = redis.call('EXISTS', ARGV[4] .. ARGV[2])
redis.call('SET', ARGV[4] .. ARGV[2], ARGV[3], 'PX', ARGV[1])
local now = redis.call('TIME')
redis.call('ZADD', KEYS[3], now[1] * 1000 + math.floor(now[2] / 1000), ARGV[2])
local alive = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  local value = redis.call('GET', ARGV[4] .. member)
  if value then
    alive[#alive + 1] = value
    alive[#alive + 1] = redis.call('PTTL', ARGV[4] .. member)
  else redis.call('ZREM', KEYS[3], member) end
end
return { existed, run, alive }
`)

const claimScript = defineScript(`${watchRun}
if redis.call('EXISTS', ARGV[3] .. ARGV[2]) == 0 then return false end
local closed = redis.call('EXISTS', KEYS[2]) == 1
local answers = {}
for i = 3, #KEYS do
  local stored = tonumber(ARGV[i + 1])
  local lease = redis.call('HMGET', KEYS[i], 'owner', 'epoch')
  local owner = lease[1]
  if owner and owner ~= ARGV[2] and redis.call('EXISTS', ARGV[3] .. owner) == 1 then answers[i - 2] = { 0, '' }
  elseif closed and stored > 0 and owner ~= ARGV[2] then answers[i - 2] = { -1, '' }
  else
    local epoch = math.max(tonumber(lease[2] or '0'), stored) + 1
    redis.call('HSET', KEYS[i], 'owner', ARGV[2], 'epoch', epoch)
    answers[i - 2] = { epoch, owner or '' }
  end
end
return answers
`)

const releaseScript = defineScript(`
local released = 0
for i = 1, #KEYS do
  local lease = redis.call('HMGET', KEYS[i], 'owner', 'epoch')
  if lease[1] == ARGV[1] and lease[2] == ARGV[i + 1] then
    redis.call('HDEL', KEYS[i], 'owner')
    released = released + 1
  end
end
return released
`)

const restoreScript = defineScript(`
local restored = {}
for i = 1, #KEYS do
  local mine = tonumber(ARGV[i + 1])
  local lease = redis.call('HMGET', KEYS[i], 'owner', 'epoch')
  local epoch = tonumber(lease[2] or '0')
  if epoch < mine or (epoch == mine and (not lease[1] or lease[1] == ARGV[1])) then
    redis.call('HSET', KEYS[i], 'owner', ARGV[1], 'epoch', mine)
    restored[i] = 1
  else restored[i] = 0 end
end
return restored
`)

const freeScript = defineScript(`
local answers = {}
for i = 1, #KEYS do
  local owner = redis.call('HGET', KEYS[i], 'owner')
  if owner == ARGV[2] then answers[i] = 2
  elseif not owner or redis.call('EXISTS', ARGV[1] .. owner) == 0 then answers[i] = 1
  else answers[i] = 0 end
end
return answers
`)

const endScript = defineScript(`
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('DEL', ARGV[1] .. ARGV[2] .. ':traffic')
return redis.call('DEL', ARGV[1] .. ARGV[2])
`)

const page = 500

/**
 * Keeps `incarnation` alive for another TTL and tells what else is alive. `value` is its heartbeat; `previous`, an incarnation of the same process
 * that has given up everything, is ended with it.
 */
export async function renewHeartbeat(
  { redis, prefix, ttlMs }: LeaseDeps,
  heartbeat: { incarnation: string; value: string; previous?: string | undefined },
): Promise<{ existed: boolean; run: string; alive: { value: string; ttlLeftMs: number }[] }> {
  const keys = [fleetRunKey(prefix), quarantineKey(prefix), workersKey(prefix)]
  const { incarnation, value, previous } = heartbeat
  const answer = await renewScript(redis, keys, [ttlMs, incarnation, value, workerKey(prefix, ''), previous ?? ''])
  const [existed, run, pairs] = answer as [number, string, (string | number)[]]
  const alive: { value: string; ttlLeftMs: number }[] = []
  for (let i = 0; i + 1 < pairs.length; i += 2) alive.push({ value: String(pairs[i]), ttlLeftMs: Number(pairs[i + 1]) })
  return { existed: existed === 1, run, alive }
}

/**
 * Ends an incarnation now: its own at a clean stop, or another's with proof of its death. All its leases are free from then on.
 * False when it had ended before.
 */
export async function endHeartbeat({ redis, prefix }: LeaseDeps, incarnation: string): Promise<boolean> {
  const ended = await endScript(redis, [workersKey(prefix)], [workerKey(prefix, ''), incarnation])
  return ended === 1
}

export interface ClaimAnswer {
  /** The new epoch; 0 when a living worker holds the session, -1 while nobody may take it. */
  epoch: number
  /** The incarnation that held it and never gave it back; null when it was free. */
  takenFrom: string | null
}

/** Per session; empty when the incarnation has no heartbeat. */
export async function claimLeases(
  { redis, prefix, ttlMs }: LeaseDeps,
  incarnation: string,
  sessions: { id: string; epoch: number }[],
): Promise<ClaimAnswer[]> {
  const keys = [fleetRunKey(prefix), quarantineKey(prefix), ...sessions.map(({ id }) => leaseKey(prefix, id))]
  const answer = await claimScript(redis, keys, [
    ttlMs,
    incarnation,
    workerKey(prefix, ''),
    ...sessions.map(({ epoch }) => epoch),
  ])
  if (!Array.isArray(answer)) return []
  return (answer as [number, string][]).map(([epoch, owner]) => ({ epoch, takenFrom: owner === '' ? null : owner }))
}

/** Only leases that are still this owner's at this epoch. */
export async function releaseLeases({ redis, prefix }: LeaseDeps, incarnation: string, held: HeldEpoch[]): Promise<void> {
  await inPages(held, (part) =>
    releaseScript(
      redis,
      part.map(({ sessionId }) => leaseKey(prefix, sessionId)),
      [incarnation, ...part.map(({ epoch }) => epoch)],
    ),
  )
}

/** Puts leases back that Redis has forgotten; returns those it refused because a higher epoch is known. */
export async function restoreLeases<T extends HeldEpoch>(
  { redis, prefix }: LeaseDeps,
  incarnation: string,
  held: T[],
): Promise<T[]> {
  const refused: T[] = []
  await inPages(held, async (part) => {
    const keys = part.map(({ sessionId }) => leaseKey(prefix, sessionId))
    const answers = (await restoreScript(redis, keys, [incarnation, ...part.map(({ epoch }) => epoch)])) as number[]
    refused.push(...part.filter((_, index) => answers[index] !== 1))
  })
  return refused
}

export type LeaseState = 'held' | 'free' | 'own'

/** `own`: Redis says that this incarnation is the owner. */
export async function readLeaseStates(
  { redis, prefix }: Pick<LeaseDeps, 'redis' | 'prefix'>,
  incarnation: string,
  sessionIds: string[],
): Promise<LeaseState[]> {
  const states: LeaseState[] = []
  await inPages(sessionIds, async (part) => {
    const keys = part.map((id) => leaseKey(prefix, id))
    const answers = (await freeScript(redis, keys, [workerKey(prefix, ''), incarnation])) as number[]
    states.push(...answers.map((answer) => (answer === 2 ? 'own' : answer === 1 ? 'free' : 'held')))
  })
  return states
}

async function inPages<T>(items: T[], run: (part: T[]) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < items.length; at += page) await run(items.slice(at, at + page))
}
