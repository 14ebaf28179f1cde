// The health history cut into equal slots of time, for the pictures.
import type { ConnectionPeriod, HealthPoint, HealthWindow } from '../../api/resources.ts'

export type SlotState = 'up' | 'partly' | 'down' | 'off' | 'none'

export interface Slot {
  from: number
  state: SlotState
  /** The part of it that was spent without a connection, 0 to 1. */
  down: number
}

export const slotCount = 60

/** In part: up, and down for more than a blink. */
const blink = 0.005

export function slotsOf(periods: ConnectionPeriod[], from: number, to: number): Slot[] {
  const slotMs = (to - from) / slotCount
  const spans = periods.map((period) => ({ ...period, from: Date.parse(period.from), until: Date.parse(period.until) }))
  return Array.from({ length: slotCount }, (_, index) => {
    const start = from + index * slotMs
    const shares = { up: 0, down: 0, off: 0 }
    for (const span of spans) {
      const shared = Math.min(span.until, start + slotMs) - Math.max(span.from, start)
      if (shared > 0) shares[span.state] += shared / slotMs
    }
    return { from: start, state: stateOf(shares), down: shares.down }
  })
}

function stateOf({ up, down, off }: { up: number; down: number; off: number }): SlotState {
  if (up + down + off < blink) return 'none'
  if (down > blink) return up > blink ? 'partly' : 'down'
  return up > 0 ? 'up' : 'off'
}

/** Counts come every five minutes at least, and later fewer of them are kept. */
const throughputSlots: Record<HealthWindow, number> = { '1h': 12, '24h': 48, '7d': 56 }

export function throughputOf(history: HealthPoint[], window: HealthWindow, from: number, to: number) {
  const length = throughputSlots[window]
  const slotMs = (to - from) / length
  const sent = Array.from({ length }, () => 0)
  const received = Array.from({ length }, () => 0)
  for (const point of history) {
    const slot = Math.min(length - 1, Math.floor((Date.parse(point.at) - from) / slotMs))
    if (slot < 0) continue
    sent[slot] = (sent[slot] ?? 0) + (point.sentCount ?? 0)
    received[slot] = (received[slot] ?? 0) + (point.receivedCount ?? 0)
  }
  const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0)
  return {
    slotMs,
    times: sent.map((_, index) => (from + (index + 0.5) * slotMs) / 1000),
    sent,
    received,
    sentTotal: total(sent),
    receivedTotal: total(received),
  }
}
