// What a user may change of a session: its name, its metadata as a whole, its settings one by one.
import type { Redis } from 'ioredis'
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { SessionRecord, SessionSettings, SessionStore } from '../store/session-store.ts'
import type { GuardPolicy } from '../webhooks/guard-url.ts'
import type { SecretBox } from '../webhooks/secret-box.ts'
import { wakeSession } from './live-session.ts'
import { prepareProxy } from './proxy.ts'
import { fasterSettings } from './session.ts'

interface SessionEdit {
  displayName?: string | undefined
  metadata?: Record<string, string> | undefined
  settings?: Partial<SessionSettings> | undefined
  /** May set a proxy, and pacing faster than the defaults. */
  isAdmin: boolean
}

interface EditDeps {
  sessions: Pick<SessionStore, 'get' | 'edit'>
  secretBox: SecretBox
  guardPolicy: GuardPolicy
  redis: Redis
  prefix: string
  log: Log
}

/** Null when unknown or deleted. @throws AppError `admin_only`, `invalid_request`, `url_not_allowed` */
export async function editSession(deps: EditDeps, sessionId: string, edit: SessionEdit): Promise<SessionRecord | null> {
  const { sessions } = deps
  const current = await findSession({ sessions }, sessionId)
  if (!current) return null
  const faster = edit.settings && !edit.isAdmin ? fasterSettings(edit.settings, current.settings) : []
  if (faster.length > 0) {
    throw new AppError('admin_only', `Only an admin key may set this faster than the default: ${faster.join(', ')}.`)
  }
  const { proxyUrl: wanted, ...settings } = edit.settings ?? {}
  const asked = { wanted: wanted ?? null, current: current.settings.proxyUrl, isAdmin: edit.isAdmin }
  const proxy = wanted === undefined ? null : await prepareProxy(deps, sessionId, asked)
  const edited = await sessions.edit(sessionId, {
    ...(edit.displayName === undefined ? {} : { displayName: edit.displayName }),
    ...(edit.metadata === undefined ? {} : { metadata: edit.metadata }),
    ...(edit.settings === undefined ? {} : { settings: { ...settings, ...proxy } }),
  })
  // The holder reads it within seconds in any case.
  if (edited && edit.settings) {
    await wakeSession(deps.redis, deps.prefix, sessionId, 'settings').catch((err: unknown) => {
      deps.log.debug({ err, sessionId }, 'session.wake_failed')
    })
  }
  return edited
}

/** A deleted session is not there, though its last holder may still be finishing it. */
export async function findSession(
  { sessions }: { sessions: Pick<SessionStore, 'get'> },
  sessionId: string,
): Promise<SessionRecord | null> {
  const session = await sessions.get(sessionId)
  return session?.deletedAt === null ? session : null
}
