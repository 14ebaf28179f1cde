// Session keys: made, renewed and shown; a key never grants more, or for longer, than the one that made it.
import { isoTime } from '../platform/clock.ts'
import { newSecret, sha256Hex } from '../platform/crypto.ts'
import { AppError } from '../platform/errors.ts'
import { newId } from '../platform/id.ts'
import { scopes, type KeyRecord, type KeyStore, type Scope } from '../store/key-store.ts'
import { maxKeysPerSession } from './session.ts'

export const sessionKeyPrefix = 'uj_ses_'
const shownPrefixLength = sessionKeyPrefix.length + 6

/** What the maker of a key may give away; `null` is an admin. */
export type Grantor = { scopes: readonly Scope[]; expiresAt: number | null } | null

export interface KeyView {
  id: string
  prefix: string
  scopes: Scope[]
  expiresAt: string | null
  createdAt: string
}

interface KeyDeps {
  keys: KeyStore
}

export function keyView(record: KeyRecord): KeyView {
  return {
    id: record.id,
    prefix: record.prefix,
    scopes: record.scopes,
    expiresAt: record.expiresAt === null ? null : isoTime(record.expiresAt),
    createdAt: isoTime(record.createdAt),
  }
}

/** A key and its record, not stored. `key` is shown once and never again. */
export function newKey(input: { sessionId: string; scopes: readonly Scope[]; expiresAt: number | null; now: number }) {
  const secret = newSecretPair()
  const record: KeyRecord = {
    id: newId('key'),
    sessionId: input.sessionId,
    hash: secret.hash,
    prefix: secret.prefix,
    scopes: scopes.filter((scope) => input.scopes.includes(scope)),
    expiresAt: input.expiresAt,
    createdAt: input.now,
  }
  return { key: secret.key, record }
}

/** @throws AppError `missing_scope`, `invalid_request`, `conflict` when the session has too many keys. */
export async function issueKey(
  { keys }: KeyDeps,
  grantor: Grantor,
  input: { sessionId: string; scopes: readonly Scope[]; expiresAt: number | null },
): Promise<{ key: string; record: KeyRecord }> {
  const now = Date.now()
  if (input.expiresAt !== null && input.expiresAt <= now) throw refusedTime('must lie in the future')
  const expiresAt = input.expiresAt ?? grantor?.expiresAt ?? null
  checkGrant(grantor, { scopes: input.scopes, expiresAt })
  const existing = await keys.list({ sessionId: input.sessionId, limit: maxKeysPerSession })
  if (existing.data.length >= maxKeysPerSession) {
    throw new AppError('conflict', `A session has at most ${maxKeysPerSession} keys. Delete one first.`)
  }
  const made = newKey({ ...input, expiresAt, now })
  await keys.create(made.record)
  return made
}

/** The old secret stops to work at once. Null when there is no such key. @throws AppError `missing_scope`, `invalid_request` */
export async function rotateKey(
  { keys }: KeyDeps,
  grantor: Grantor,
  sessionId: string,
  keyId: string,
): Promise<{ key: string; record: KeyRecord } | null> {
  const existing = await keys.list({ sessionId, limit: maxKeysPerSession * 2 })
  const current = existing.data.find((record) => record.id === keyId)
  if (!current) return null
  checkGrant(grantor, current)
  const { key, ...next } = newSecretPair()
  const record = await keys.rotate(sessionId, keyId, next)
  return record && { key, record }
}

function newSecretPair(): { key: string; hash: string; prefix: string } {
  const key = newSecret(sessionKeyPrefix)
  return { key, hash: sha256Hex(key), prefix: key.slice(0, shownPrefixLength) }
}

function checkGrant(grantor: Grantor, wanted: { scopes: readonly Scope[]; expiresAt: number | null }): void {
  if (grantor === null) return
  const excess = wanted.scopes.filter((scope) => !grantor.scopes.includes(scope))
  if (excess.length > 0) throw new AppError('missing_scope', `Your key cannot give the scope ${excess.join(', ')}: it lacks it.`)
  if (grantor.expiresAt !== null && (wanted.expiresAt === null || wanted.expiresAt > grantor.expiresAt)) {
    throw refusedTime('may not be later than the expiry of your own key')
  }
}

function refusedTime(message: string): AppError {
  return new AppError('invalid_request', `\`expiresAt\` ${message}.`, { errors: [{ path: 'expiresAt', message }] })
}
