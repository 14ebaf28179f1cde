// How long a session was connected in a window of time, from the notes its holders made when connections came and went. Pure.
import type { ConnectionChange } from '../sessions/connection-history.ts'

interface Window {
  since: number
  now: number
  /** When it was last heard, if its last holder ended without a note. */
  lostAt: number | null
  isConnected: boolean
  /** Whether it should be connected now. */
  isWanted: boolean
}

/** Time before the oldest note, and time that the user wanted it closed, counts as neither. Notes of different workers may come in any order. */
export function connectedTime(changes: readonly ConnectionChange[], window: Window): { upMs: number; downMs: number } {
  const { since, now, lostAt, isConnected, isWanted } = window
  const notes = changes.toSorted((a, b) => a.at - b.at)
  // What is true now stands against a note that was lost.
  if (lostAt !== null && notes.length > 0) notes.push({ at: lostAt, to: 'down' })
  const time = { upMs: 0, downMs: 0 }
  for (const [i, { at, to }] of notes.entries()) {
    const isLast = i === notes.length - 1
    const from = Math.max(at, since)
    const until = Math.min(Math.max(isLast ? now : (notes[i + 1]?.at ?? now), since), now)
    const is = isLast ? presentState(to, isConnected, isWanted) : to
    if (until <= from || is === 'off') continue
    if (is === 'up') time.upMs += until - from
    else time.downMs += until - from
  }
  return time
}

function presentState(noted: ConnectionChange['to'], isConnected: boolean, isWanted: boolean): ConnectionChange['to'] {
  if (isConnected) return 'up'
  if (noted === 'off' && !isWanted) return 'off'
  return 'down'
}
