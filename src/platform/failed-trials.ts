// A workaround for libsignal 6: it tries a message on every session it has with a device, and keeps what the wrong ones became.

/** A record as libsignal serialises it; only what is read here. */
interface SerializedSessions {
  _sessions: Record<string, { indexInfo: { used: number } }>
}

/**
 * Each trial steps that session's ratchet before the MAC is checked, and when another session fits, the record is stored with all
 * of them: the wrong ones, the current one often among them, can then neither read nor be read. Answers the record with every
 * session but the one that fitted as it was `before`; null when there is nothing to undo.
 */
export function withoutFailedTrials(before: unknown, after: unknown): object | null {
  if (!hasSeveralSessions(before) || !hasSeveralSessions(after)) return null
  // libsignal's own order of trying; it stops at the first that fits, so the last one that changed is it.
  const tried = Object.entries(before._sessions).toSorted(([, a], [, b]) => (b.indexInfo.used || 0) - (a.indexInfo.used || 0))
  const changed = tried.filter(([key, session]) => JSON.stringify(session) !== JSON.stringify(after._sessions[key]))
  if (changed.length < 2) return null
  return { ...after, _sessions: { ...after._sessions, ...Object.fromEntries(changed.slice(0, -1)) } }
}

export function hasSeveralSessions(record: unknown): record is SerializedSessions {
  const sessions: unknown = typeof record === 'object' && record !== null && '_sessions' in record ? record._sessions : undefined
  return typeof sessions === 'object' && sessions !== null && Object.keys(sessions).length > 1
}
