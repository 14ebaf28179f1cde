// What is counted of messages: accepted, sent, acknowledged, kept back, received, and how long each step took.
import { counter, histogram } from '../platform/metrics.ts'

const seconds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60]
const longSeconds = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 21_600]

export const acceptedCount = counter('ujumbe_messages_accepted_total', 'Messages accepted, by lane.', ['priority'])
export const sendCount = counter(
  'ujumbe_message_sends_total',
  'Messages handed to a socket, by what came of it: acked, rejected, unknown (sent again) or gave_up.',
  ['outcome'],
)
for (const outcome of ['acked', 'rejected', 'unknown', 'gave_up']) sendCount.inc({ outcome }, 0) // alerts see the first of each
export const ackSeconds = histogram('ujumbe_message_ack_seconds', 'From handing over to the acknowledgement.', seconds)
export const waitSeconds = histogram(
  'ujumbe_message_wait_seconds',
  'From queued to handed over for the first time, by lane.',
  longSeconds,
  ['priority'],
)
export const receiptCount = counter('ujumbe_receipts_total', 'Messages that receipts moved forward, by status.', ['status'])
export const receivedCount = counter('ujumbe_messages_received_total', 'Inbound messages stored.')
const pacingCount = counter(
  'ujumbe_pacing_waits_total',
  'How often pacing let a message wait, by what it waited for: session, recipient, fleet, new_contacts or restriction.',
  ['by'],
)
const pacingSeconds = histogram('ujumbe_pacing_wait_seconds', 'How long pacing lets a message wait.', longSeconds, ['by'])

export function countPacingWait(by: string, waitMs: number): void {
  pacingCount.inc({ by })
  pacingSeconds.observe({ by }, Math.max(0, waitMs) / 1_000)
}
