// A history of a chaos run in which nothing went wrong.
import type { AcceptedMessage, History } from '../../scripts/chaos/check/history.ts'

export const session = 'ses_a'
export const phone = '254711000001'

function accepted(n: number, changes: Partial<AcceptedMessage> = {}): AcceptedMessage {
  return {
    messageId: `msg_${n}`,
    whatsappId: `3EB0${n}`,
    sessionId: session,
    lane: 'normal',
    recipient: phone,
    requestedAt: n * 100,
    acceptedAt: n * 100 + 10,
    isStranger: false,
    isToSelf: false,
    ...changes,
  }
}

/** Three messages out, one in, all told; the session moved from one worker to another. */
export function goodHistory(): History {
  const messages = [1, 2, 3].map((n) => accepted(n))
  const statuses = ['queued', 'sending', 'sent', 'delivered', 'read']
  const told = messages.flatMap(({ messageId }) => statuses.map((status) => ({ messageId, status, type: `message.${status}` })))
  const events = [...told, { messageId: 'msg_in', status: 'received', type: 'message.received' }].map((event, index) => ({
    ...event,
    webhookId: `evt_${index + 1}`,
    eventId: `evt_${index + 1}`,
    sessionId: session,
    sequence: index + 1,
  }))
  return {
    accepted: messages,
    refused: [],
    shown: messages.map(({ whatsappId }) => ({ phone, whatsappId })),
    // The second one was written twice: the first time without an ack.
    frames: [1, 2, 2, 3].map((n, index) => ({
      at: n * 100 + 50,
      sessionId: session,
      socket: index < 2 ? 1 : 2,
      whatsappId: `3EB0${n}`,
      refusedWith: null,
      isAcked: index !== 1,
    })),
    stored: [
      ...messages.map(({ messageId, whatsappId }) => ({
        messageId,
        whatsappId,
        sessionId: session,
        direction: 'outbound' as const,
        status: 'read',
        errorCode: null,
      })),
      { messageId: 'msg_in', whatsappId: 'IN1', sessionId: session, direction: 'inbound', status: 'received', errorCode: null },
    ],
    inbound: [{ whatsappId: 'IN1', sessionId: session, phone, from: 500, until: 510 }],
    events,
    lastSequences: new Map([[session, events.length]]),
    connections: [
      { sessionId: session, epoch: 1, openedAt: 50, lastByteAt: 1_900, lagMs: 0 },
      { sessionId: session, epoch: 2, openedAt: 2_050, lastByteAt: 9_000, lagMs: 0 },
    ],
    claims: [
      { sessionId: session, epoch: 1, at: 0, workerPid: 11 },
      { sessionId: session, epoch: 2, at: 2_000, workerPid: 12 },
    ],
    shares: [
      { workerPid: 11, held: 10 },
      { workerPid: 12, held: 11 },
      { workerPid: 13, held: 9 },
    ],
    unconnected: [],
    leftovers: [],
    endings: [{ sessionId: session, kind: 'unlink', problem: null }],
    inboundGaps: [{ sessionId: session, from: 600, until: 700 }],
    lostWithDevice: [],
    counts: { kill_worker: 2 },
    required: ['kill_worker'],
  }
}
