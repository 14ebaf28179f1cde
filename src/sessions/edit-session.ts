// What a user may change of a session: its name, its metadata as a whole, its settings one by one.
import type { SessionRecord, SessionSettings, SessionStore } from '../store/session-store.ts'

interface SessionEdit {
  displayName?: string | undefined
  metadata?: Record<string, string> | undefined
  settings?: Partial<SessionSettings> | undefined
}

/** Null when unknown or deleted. */
export async function editSession(
  { sessions }: { sessions: Pick<SessionStore, 'get' | 'edit'> },
  sessionId: string,
  edit: SessionEdit,
): Promise<SessionRecord | null> {
  const current = await findSession({ sessions }, sessionId)
  if (!current) return null
  return sessions.edit(sessionId, {
    ...(edit.displayName === undefined ? {} : { displayName: edit.displayName }),
    ...(edit.metadata === undefined ? {} : { metadata: edit.metadata }),
    ...(edit.settings === undefined ? {} : { settings: { ...current.settings, ...edit.settings } }),
  })
}

/** A deleted session is not there, though its last holder may still be finishing it. */
export async function findSession(
  { sessions }: { sessions: Pick<SessionStore, 'get'> },
  sessionId: string,
): Promise<SessionRecord | null> {
  const session = await sessions.get(sessionId)
  return session?.deletedAt === null ? session : null
}
