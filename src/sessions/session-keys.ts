// Names of the Redis keys and channels through which workers and the API meet over a session.
import { redisKey } from '../platform/redis.ts'

const ofSession =
  (part: string) =>
  (prefix: string, sessionId: string): string =>
    redisKey(prefix, 'session', sessionId, part)

/** Hash `{owner, epoch}`; survives its owner, so that epochs only rise. */
export const leaseKey = ofSession('lease')
/** Hash: what the holder says about the socket. */
export const liveKey = ofSession('live')
/** `{qr, expiresAt}`, gone when it expires. A secret. */
export const qrKey = ofSession('qr')
/** `{code, phoneNumber, expiresAt}`, gone when it expires. A secret. */
export const pairingCodeKey = ofSession('pairing-code')
/** List of commands for the holder. */
export const commandsKey = ofSession('commands')
/** List, newest first: what the watchdog did and why. Bounded. */
export const watchdogKey = ofSession('watchdog')
/** List, newest first: when and why the socket was replaced. Bounded. */
export const reconnectsKey = ofSession('reconnects')
/** List, newest first: when the connection was made, lost, or closed on request. Bounded. */
export const connectionsKey = ofSession('connections')
/** List, newest first: times of `conflict replaced` (440). Lives ten minutes. */
export const conflictsKey = ofSession('conflicts')

/** Heartbeat of one worker incarnation; its life decides over all leases of that worker. */
export function workerKey(prefix: string, incarnation: string): string {
  return redisKey(prefix, 'worker', incarnation)
}

/** Sorted set of incarnations by the time of their last heartbeat. */
export function workersKey(prefix: string): string {
  return redisKey(prefix, 'workers')
}

/** How many sessions were ever taken from workers that died, as far as this Redis knows. */
export function takeoversKey(prefix: string): string {
  return redisKey(prefix, 'fleet', 'takeovers')
}

/** Hash session id → milliseconds since the epoch of the last frame from WhatsApp, written by its worker in one command. */
export function trafficKey(prefix: string, incarnation: string): string {
  return redisKey(prefix, 'worker', incarnation, 'traffic')
}

/** Sorted set of sessions by when the last entry in one of their lists of connections, reconnects or watchdog actions was noted, by Redis' clock. */
export function troubledKey(prefix: string): string {
  return redisKey(prefix, 'fleet', 'troubled')
}

/** Since when connections, reconnects and watchdog actions have been kept: Redis has forgotten what was before. */
export function historySinceKey(prefix: string): string {
  return redisKey(prefix, 'fleet', 'history-since')
}

/** Hash session id → milliseconds since the epoch: connected by its status, but no worker has reported its socket since then. */
export function unheardKey(prefix: string): string {
  return redisKey(prefix, 'fleet', 'unheard')
}

/** Answer to one command; lives 60 s. */
export function answerKey(prefix: string, commandId: string): string {
  return redisKey(prefix, 'command', commandId)
}

/** Channel of one session, subscribed to by its holder. */
export function wakeChannel(prefix: string, sessionId: string): string {
  return redisKey(prefix, 'wake', sessionId)
}

/** Channel of all workers: sessions that somebody should claim. */
export function claimChannel(prefix: string): string {
  return redisKey(prefix, 'wake')
}

/** Channel of all workers: one of them has reached WhatsApp again after an outage. */
export function networkChannel(prefix: string): string {
  return redisKey(prefix, 'network')
}

/** The Redis server run that leases were last seen in: another one may have lost writes. */
export function fleetRunKey(prefix: string): string {
  return redisKey(prefix, 'fleet', 'run')
}

/** Exists for one TTL after Redis may have lost writes: holders put their leases back, nobody takes sessions that were held before. */
export function quarantineKey(prefix: string): string {
  return redisKey(prefix, 'fleet', 'quarantine')
}

/** GCRA time of the next socket open of the whole fleet. */
export function socketOpensKey(prefix: string): string {
  return redisKey(prefix, 'fleet', 'socket-opens')
}
