// How long a session was connected in a window of time, from the notes its holders made when connections came and went. Pure.
import type { ConnectionChange } from '../sessions/connection-history.ts'

export interface ConnectionWindow {
  since: number
  now: number
  /** When it was last heard, if its last holder ended without a note. */
  lostAt: number | null
  isConnected: boolean
  /** Whether it should be connected now. */
  isWanted: boolean
}

export interface ConnectionPeriod {
  from: number
  until: number
  /** `off`: closed because the user asked for it. */
  state: ConnectionChange['to']
}

/** In order, within the window; time before the oldest note is in none. Notes of different workers may come in any order. */
export function connectionPeriods(changes: readonly ConnectionChange[], window: ConnectionWindow): ConnectionPeriod[] {
  const { since, now, lostAt, isConnected, isWanted } = window
  const notes = changes.toSorted((a, b) => a.at - b.at)
  // What is true now stands against a note that was lost.
  if (lostAt !== null && notes.length > 0) notes.push({ at: lostAt, to: 'down' })
  const periods: ConnectionPeriod[] = []
  for (const [i, { at, to }] of notes.entries()) {
    const isLast = i === notes.length - 1
    const from = Math.max(at, since)
    const until = Math.min(Math.max(isLast ? now : (notes[i + 1]?.at ?? now), since), now)
    const state = isLast ? presentState(to, isConnected, isWanted) : to
    if (until <= from) continue
    const last = periods.at(-1)
    if (last?.state === state && last.until === from) last.until = until
    else periods.push({ from, until, state })
  }
  return periods
}

/** Time before the oldest note, and time that the user wanted it closed, counts as neither. */
export function connectedTime(changes: readonly ConnectionChange[], window: ConnectionWindow): { upMs: number; downMs: number } {
  const time = { upMs: 0, downMs: 0 }
  for (const { from, until, state } of connectionPeriods(changes, window)) {
    if (state === 'up') time.upMs += until - from
    if (state === 'down') time.downMs += until - from
  }
  return time
}

function presentState(noted: ConnectionChange['to'], isConnected: boolean, isWanted: boolean): ConnectionChange['to'] {
  if (isConnected) return 'up'
  if (noted === 'off' && !isWanted) return 'off'
  return 'down'
}
