// What one attempt makes of a delivery.
import type { DeliveryAttempt, DeliveryRecord, DeliveryStore } from './event-store.ts'

const attemptsKept = 20

/** A delivery that has succeeded or is dead stays so; the attempt is written down all the same. */
export function attempted(
  delivery: DeliveryRecord,
  attempt: DeliveryAttempt,
  next: Parameters<DeliveryStore['recordAttempt']>[2],
): DeliveryRecord {
  const noted = {
    ...delivery,
    attemptCount: delivery.attemptCount + 1,
    attempts: [...delivery.attempts, attempt].slice(-attemptsKept),
    updatedAt: Math.max(delivery.updatedAt, attempt.at),
  }
  if (delivery.status === 'succeeded' || delivery.status === 'dead') return noted
  return {
    ...noted,
    status: next.status,
    nextAttemptAt: next.nextAttemptAt,
    deadReason: next.status === 'dead' ? (next.deadReason ?? null) : null,
  }
}
