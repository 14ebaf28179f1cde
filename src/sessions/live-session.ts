// What is true of a session right now and only in Redis: its holder, its socket's state, its QR and pairing code; and waking its holder.
import type { Redis } from 'ioredis'
import { defineScript } from '../platform/redis-script.ts'
import type { SessionStatus } from '../store/session-store.ts'
import { claimChannel, leaseKey, liveKey, pairingCodeKey, qrKey, wakeChannel, workerKey } from './session-keys.ts'

export interface LiveSession {
  /** Incarnation of the living worker that holds it; null when nobody does. Everything below is then null too. */
  holder: string | null
  epoch: number | null
  state: SessionStatus | null
  /** Secret, like `pairingCode`: only for keys with `manage`. */
  qr: string | null
  qrExpiresAt: number | null
  /** `ABCD-EFGH` */
  pairingCode: string | null
  pairingCodeFor: string | null
  pairingCodeExpiresAt: number | null
  /** When the present socket was logged in. */
  connectedAt: number | null
  /** When the next try to connect is due, while it waits for it. */
  reconnectAt: number | null
  /** Last frame from WhatsApp, a few seconds coarse. */
  lastTrafficAt: number | null
}

/** Undefined leaves a field, null removes it. Times are milliseconds since the epoch. */
export interface LiveChanges {
  state?: SessionStatus
  connectedAt?: number | null
  reconnectAt?: number | null
  qr?: { qr: string; expiresAt: number } | null
  pairingCode?: { code: string; phoneNumber: string; expiresAt: number } | null
}

export interface LiveDeps {
  redis: Redis
  prefix: string
}

const nothingLive: LiveSession = {
  holder: null,
  epoch: null,
  state: null,
  qr: null,
  qrExpiresAt: null,
  pairingCode: null,
  pairingCodeFor: null,
  pairingCodeExpiresAt: null,
  connectedAt: null,
  reconnectAt: null,
  lastTrafficAt: null,
}

const readScript = defineScript(`
local holder = redis.call('HGET', KEYS[1], 'holder')
if not holder or redis.call('EXISTS', ARGV[1] .. holder) == 0 then return false end
return { redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]),
  redis.call('HGET', ARGV[1] .. holder .. ':traffic', ARGV[2]) }
`)

// A lease or a live state of a higher epoch refuses the write. A Redis that lost its data knows neither and takes it.
const writeScript = defineScript(`
local epoch = tonumber(ARGV[1])
if tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0') > epoch then return 0 end
if tonumber(redis.call('HGET', KEYS[2], 'epoch') or '0') > epoch then return 0 end
redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'holder', ARGV[2])
local n = tonumber(ARGV[3])
for i = 4, 2 + 2 * n, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[i]) else redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
for k = 3, 4 do
  local at = 4 + 2 * n + 2 * (k - 3)
  if ARGV[at] == '-' then redis.call('DEL', KEYS[k])
  elseif ARGV[at] ~= '' then redis.call('SET', KEYS[k], ARGV[at], 'PX', ARGV[at + 1]) end
end
return 1
`)

const clearScript = defineScript(`
if tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0') > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
return 1
`)

/** One command. The state of a dead holder counts as none. */
export async function readLiveSession({ redis, prefix }: LiveDeps, sessionId: string): Promise<LiveSession> {
  const keys = [liveKey(prefix, sessionId), qrKey(prefix, sessionId), pairingCodeKey(prefix, sessionId)]
  const answer = await readScript(redis, keys, [workerKey(prefix, ''), sessionId])
  if (!Array.isArray(answer)) return { ...nothingLive }
  const [pairs, qrText, codeText, traffic] = answer as [string[], string | null, string | null, string | null]
  const fields: Record<string, string> = {}
  for (let i = 0; i + 1 < pairs.length; i += 2) fields[pairs[i] as string] = pairs[i + 1] as string
  const qr = qrText ? (JSON.parse(qrText) as { qr: string; expiresAt: number }) : null
  const code = codeText ? (JSON.parse(codeText) as { code: string; phoneNumber: string; expiresAt: number }) : null
  const time = (text: string | null | undefined) => (text ? Number(text) : null)
  return {
    holder: fields['holder'] ?? null,
    epoch: time(fields['epoch']),
    state: (fields['state'] as SessionStatus | undefined) ?? null,
    qr: qr?.qr ?? null,
    qrExpiresAt: qr?.expiresAt ?? null,
    pairingCode: code?.code ?? null,
    pairingCodeFor: code?.phoneNumber ?? null,
    pairingCodeExpiresAt: code?.expiresAt ?? null,
    connectedAt: time(fields['connectedAt']),
    reconnectAt: time(fields['reconnectAt']),
    lastTrafficAt: time(traffic),
  }
}

/** False when a holder with a higher epoch has taken over: nothing was written. */
export async function writeLiveSession(
  { redis, prefix }: LiveDeps,
  holder: { sessionId: string; incarnation: string; epoch: number },
  changes: LiveChanges,
): Promise<boolean> {
  const { sessionId } = holder
  const fields: string[] = []
  if (changes.state !== undefined) fields.push('state', changes.state)
  for (const name of ['connectedAt', 'reconnectAt'] as const) {
    const value = changes[name]
    if (value !== undefined) fields.push(name, value === null ? '' : String(value))
  }
  const keys = [
    leaseKey(prefix, sessionId),
    liveKey(prefix, sessionId),
    qrKey(prefix, sessionId),
    pairingCodeKey(prefix, sessionId),
  ]
  const secrets = [...expiring(changes.qr), ...expiring(changes.pairingCode)]
  const args = [holder.epoch, holder.incarnation, fields.length / 2, ...fields, ...secrets]
  return (await writeScript(redis, keys, args)) === 1
}

/** `['', 0]` leaves the key, `['-', 0]` deletes it. */
function expiring(value: { expiresAt: number } | null | undefined): [string, number] {
  if (value === undefined) return ['', 0]
  const ttlMs = value ? value.expiresAt - Date.now() : 0
  return value && ttlMs > 0 ? [JSON.stringify(value), Math.ceil(ttlMs)] : ['-', 0]
}

/** At release; leaves the state of a later holder alone. */
export async function clearLiveSession({ redis, prefix }: LiveDeps, sessionId: string, epoch: number): Promise<void> {
  await clearScript(redis, [liveKey(prefix, sessionId), qrKey(prefix, sessionId), pairingCodeKey(prefix, sessionId)], [epoch])
}

/**
 * Why a holder is woken: a queued message, a command, a new intent of the user, other settings, a queue to compare with the store, a job
 * that a former holder has taken and cannot give back (`stranded`), or one that is gone for which others were held back (`held`).
 */
export type WakeReason = 'message' | 'command' | 'intent' | 'settings' | 'compare' | 'stranded' | 'held'

/**
 * Wakes the holder. `intent` (create, connect, disconnect, logout, delete; publish it after the store has it) also asks the fleet to claim
 * the session when nobody listens for it. Wake-ups may be lost; a sweep every 15–30 s makes up for it.
 */
export async function wakeSession(
  redis: Redis,
  prefix: string,
  sessionId: string,
  reason: WakeReason = 'message',
): Promise<void> {
  const heard = await redis.publish(wakeChannel(prefix, sessionId), reason)
  if (reason === 'intent' && heard === 0) await offerSessions(redis, prefix, [sessionId])
}

/** Tells all workers that these may be claimed now; `preferred` is the incarnation that should, the others leave it some time. */
export async function offerSessions(redis: Redis, prefix: string, sessionIds: string[], preferred?: string): Promise<void> {
  await redis.publish(claimChannel(prefix), JSON.stringify({ sessionIds, ...(preferred ? { preferred } : {}) }))
}
