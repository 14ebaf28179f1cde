// What WhatsApp itself had nobody to give to: a session's device was removed, and another one was not yet linked.
import type { History } from './history.ts'

/** What was on its way between these two times. */
interface OnItsWay {
  sessionId: string
  whatsappId: string
  from: number
  until: number
}

/** A receipt follows its message by this much at most, when the sandbox is busy. */
const receiptMs = 5_000

/** For messages that people wrote, and for receipts of messages sent to them. */
export function mayBeMissed({
  inboundGaps,
  lostWithDevice,
}: Pick<History, 'inboundGaps' | 'lostWithDevice'>): (thing: OnItsWay) => boolean {
  const lost = new Set(lostWithDevice.map(({ sessionId, whatsappId }) => `${sessionId} ${whatsappId}`))
  const gaps = Map.groupBy(inboundGaps, ({ sessionId }) => sessionId)
  return ({ sessionId, whatsappId, from, until }) =>
    lost.has(`${sessionId} ${whatsappId}`) || (gaps.get(sessionId) ?? []).some((gap) => from <= gap.until && until >= gap.from)
}

/** Of messages whose receipts may be lost with a device, by their frames. */
export function mayLackReceipts(
  history: Pick<History, 'inboundGaps' | 'lostWithDevice' | 'frames'>,
): (message: { sessionId: string; whatsappId: string }) => boolean {
  const isMissed = mayBeMissed(history)
  const frames = Map.groupBy(history.frames, ({ whatsappId }) => whatsappId)
  return ({ sessionId, whatsappId }) =>
    (frames.get(whatsappId) ?? []).some(({ at }) => isMissed({ sessionId, whatsappId, from: at, until: at + receiptMs }))
}
