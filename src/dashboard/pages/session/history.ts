// The health history cut into equal slots of time, for the pictures.
import type { HealthPoint } from '../../api/resources.ts'

export type SlotState = 'up' | 'partly' | 'down' | 'none'

export interface Slot {
  from: number
  state: SlotState
}

export const slotCount = 60

/** `down` covers every state but connected; a slot without a sample between two samples keeps what was before it. */
export function slotsOf(history: HealthPoint[], from: number, to: number): Slot[] {
  const slotMs = (to - from) / slotCount
  const bySlot = Map.groupBy(history, (point) => Math.floor((Date.parse(point.at) - from) / slotMs))
  const first = Math.min(...bySlot.keys())
  const last = Math.max(...bySlot.keys())
  let before: SlotState = 'none'
  return Array.from({ length: slotCount }, (_, index) => {
    const points = bySlot.get(index)
    if (points) before = stateOf(points)
    const state = index < first || index > last ? 'none' : before
    return { from: from + index * slotMs, state }
  })
}

function stateOf(points: HealthPoint[]): SlotState {
  const known = points.filter((point) => point.state != null)
  if (known.length === 0) return 'none'
  const up = known.filter((point) => point.state === 'connected').length
  return up === known.length ? 'up' : up === 0 ? 'down' : 'partly'
}

/** Null when the history does not count messages. */
export function throughputOf(history: HealthPoint[], from: number, to: number) {
  if (!history.some((point) => point.sentCount != null)) return null
  const slotMs = (to - from) / slotCount
  const values = Array.from({ length: slotCount }, () => 0)
  for (const point of history) {
    const slot = Math.floor((Date.parse(point.at) - from) / slotMs)
    if (slot >= 0 && slot < slotCount) values[slot] = (values[slot] ?? 0) + (point.sentCount ?? 0)
  }
  return {
    slotMs,
    times: values.map((_, index) => (from + (index + 0.5) * slotMs) / 1000),
    values,
    total: values.reduce((sum, value) => sum + value, 0),
  }
}
