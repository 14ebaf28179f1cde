// The checker: everything that must be true of a run, whatever happened in it. Pure.
import { checkEvents } from './check-events.ts'
import { checkExercise } from './check-exercise.ts'
import { checkFleet } from './check-fleet.ts'
import { checkInbound } from './check-inbound.ts'
import { checkOutbound } from './check-outbound.ts'
import type { History, Violation } from './history.ts'

export function checkHistory(history: History): Violation[] {
  return [
    ...checkOutbound(history),
    ...checkInbound(history),
    ...checkEvents(history),
    ...checkFleet(history),
    ...checkExercise(history),
  ]
}
