// What stands above every page while what it shows is not fresh: nobody answers, or not with what was asked for.
import { useEffect, useState } from 'preact/hooks'
import { lastAnswerAt, reachable, request } from '../api/request.ts'
import { staleLoads } from '../api/use-load.ts'
import { now } from './clock.ts'
import { atClock } from './words.ts'

/** What is on the screen stays, and says how old it is. */
export function Offline() {
  const [since, setSince] = useState<number | null>(null)
  const isAway = !reachable.value
  useEffect(() => {
    setSince(isAway ? lastAnswerAt.value : null)
    if (!isAway) return
    const timer = setInterval(() => void request('GET', '/livez').catch(() => undefined), 3_000)
    return () => clearInterval(timer)
  }, [isAway])
  if (!isAway) return <div role="alert" />
  return (
    <div class="banner away" role="alert">
      <p>
        <strong>Ujumbe does not answer.</strong>{' '}
        {since === null || now.value < since ? 'Trying again…' : `What you see is from ${atClock(since)}. Trying again…`}
      </p>
    </div>
  )
}

/** The banner above says the same where nobody answers at all. */
export function Stale() {
  const stale = staleLoads.value
  const [first] = stale
  if (!first || !reachable.value) return <div role="alert" />
  const since = Math.min(...stale.map(({ loadedAt }) => loadedAt))
  return (
    <div class="banner stale" role="alert">
      <p>
        <strong>This page cannot be refreshed.</strong> {first.fault.message} What you see is from {atClock(since)}.
      </p>
      <button type="button" class="secondary" onClick={() => stale.forEach(({ reload }) => reload())}>
        Try again
      </button>
    </div>
  )
}
