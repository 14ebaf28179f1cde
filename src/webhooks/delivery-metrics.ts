// What is counted of webhook deliveries: jobs by what came of them, attempts, and how long an event takes to its receiver.
import { counter, histogram } from '../platform/metrics.ts'
import type { DeliverOutcome } from './deliver-event.ts'

const outcomes = counter(
  'ujumbe_webhook_jobs_total',
  'Delivery jobs by what came of them: succeeded, failed (tried again later), dead (given up), discarded (the endpoint is gone or disabled), dropped (done already), deferred, postponed (no attempt made).',
  ['outcome'],
)
const allOutcomes: readonly DeliverOutcome['outcome'][] = [
  'succeeded',
  'failed',
  'dead',
  'discarded',
  'dropped',
  'deferred',
  'postponed',
]
for (const outcome of allOutcomes) outcomes.inc({ outcome }, 0) // a series that begins with 500 has not increased
export const attemptSeconds = histogram(
  'ujumbe_webhook_attempt_seconds',
  'From the request to the end of the answer, or until it was given up.',
  [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15],
  ['outcome'],
)
export const delaySeconds = histogram(
  'ujumbe_webhook_delay_seconds',
  'From an event to its delivery, retries and outages of the receiver included.',
  [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 600, 3_600, 43_200],
)

export async function countOutcome(work: Promise<DeliverOutcome>): Promise<DeliverOutcome> {
  const result = await work
  outcomes.inc({ outcome: result.outcome })
  return result
}
