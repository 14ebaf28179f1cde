// What a user may change of a session: its name, its metadata as a whole, its settings one by one.
import type { Redis } from 'ioredis'
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { SessionRecord, SessionSettings, SessionStore } from '../store/session-store.ts'
import { wakeSession } from './live-session.ts'
import { fasterSettings } from './session.ts'

interface SessionEdit {
  displayName?: string | undefined
  metadata?: Record<string, string> | undefined
  settings?: Partial<SessionSettings> | undefined
  /** Pacing faster than the defaults. */
  mayHurry: boolean
}

interface EditDeps {
  sessions: Pick<SessionStore, 'get' | 'edit'>
  redis: Redis
  prefix: string
  log: Log
}

/** Null when unknown or deleted. @throws AppError `admin_only` */
export async function editSession(deps: EditDeps, sessionId: string, edit: SessionEdit): Promise<SessionRecord | null> {
  const { sessions } = deps
  const current = await findSession({ sessions }, sessionId)
  if (!current) return null
  const faster = edit.settings && !edit.mayHurry ? fasterSettings(edit.settings, current.settings) : []
  if (faster.length > 0) {
    throw new AppError('admin_only', `Only an admin key may set this faster than the default: ${faster.join(', ')}.`)
  }
  const edited = await sessions.edit(sessionId, {
    ...(edit.displayName === undefined ? {} : { displayName: edit.displayName }),
    ...(edit.metadata === undefined ? {} : { metadata: edit.metadata }),
    ...(edit.settings === undefined ? {} : { settings: { ...current.settings, ...edit.settings } }),
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
