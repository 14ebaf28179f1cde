// When the session was connected, as a strip of equal times.
import { atClock, atDay, shortSpan } from '../../parts/words.ts'
import { slotCount, type Slot } from './history.ts'

const stateWords = {
  up: 'connected',
  partly: 'connected in part',
  down: 'not connected',
  off: 'closed on request',
  none: 'no data',
} as const
/** Percent of a strip: a short loss must be seen. */
const leastSeen = 25
const dayMs = 86_400_000

export function UptimeBar({ slots, from, to }: { slots: Slot[]; from: number; to: number }) {
  const known = slots.filter((slot) => slot.state !== 'none')
  const down = known.filter((slot) => slot.state === 'down' || slot.state === 'partly')
  const time = to - from > dayMs ? atDay : atClock
  const summary =
    known.length === 0
      ? 'Uptime: no data in this time'
      : down.length === 0
        ? 'Uptime: connected all the time that is known'
        : `Uptime: not connected all the time around ${down
            .slice(0, 5)
            .map((slot) => time(slot.from))
            .join(', ')}${down.length > 5 ? ` and ${down.length - 5} more times` : ''}`
  return (
    <div class="uptime">
      <p class="label">
        Connected <span class="quiet">each strip {shortSpan((to - from) / slotCount)}</span>
      </p>
      <div class="strips" role="img" aria-label={summary}>
        {slots.map((slot) => (
          <i
            key={slot.from}
            class={slot.state}
            title={`${time(slot.from)}: ${stateWords[slot.state]}`}
            {...(slot.state === 'partly' ? { style: { '--down': `${Math.max(leastSeen, slot.down * 100)}%` } } : {})}
          />
        ))}
      </div>
    </div>
  )
}
