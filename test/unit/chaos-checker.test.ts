// The checker of the chaos run: a good history passes, and each kind of damage planted into it is found.
import { describe, expect, test } from 'vitest'
import { checkHistory } from '../../scripts/chaos/check/check-history.ts'
import { countHistory, countLines, requiredCounts } from '../../scripts/chaos/count-paths.ts'
import { endings, plannedKinds, planFaults } from '../../scripts/chaos/schedule.ts'
import { rules, type AcceptedMessage, type History, type Rule } from '../../scripts/chaos/check/history.ts'

const session = 'ses_a'
const phone = '254711000001'

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
function goodHistory(): History {
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

const damage: { what: string; rule: Rule; plant: (history: History) => void }[] = [
  { what: 'a lost message', rule: 'lost', plant: (h) => void h.shown.splice(1, 1) },
  { what: 'an accepted message that was not stored', rule: 'lost', plant: (h) => void h.stored.splice(0, 1) },
  { what: 'a duplicate on a phone', rule: 'doubled', plant: (h) => void h.shown.push({ phone, whatsappId: '3EB01' }) },
  { what: 'a message on the wrong phone', rule: 'strange', plant: (h) => void (h.shown[0]!.phone = '254711000002') },
  { what: 'a message that nobody sent', rule: 'strange', plant: (h) => void h.shown.push({ phone, whatsappId: 'FORGED' }) },
  {
    what: 'two messages in the wrong order on the phone',
    rule: 'reordered',
    plant: (h) => void (h.shown = h.shown.toReversed()),
  },
  { what: 'two first frames in the wrong order', rule: 'reordered', plant: (h) => void (h.frames = h.frames.toReversed()) },
  { what: 'a failure without a cause', rule: 'failed', plant: (h) => failFirst(h, 'outcome_unknown') },
  { what: 'a message that is failed and shown', rule: 'status', plant: (h) => failFirst(h, 'rejected_by_whatsapp') },
  { what: 'a message that never came to its end', rule: 'status', plant: (h) => void (h.stored[2]!.status = 'sending') },
  { what: 'a status that went back', rule: 'status', plant: (h) => swapStatuses(h, 3, 4) },
  { what: 'a final status that was never told', rule: 'status', plant: (h) => void (h.stored[0]!.status = 'delivered') },
  {
    what: 'a request nobody could repeat',
    rule: 'refused',
    plant: (h) => void h.refused.push({ sessionId: session, text: '500' }),
  },
  { what: 'a lost inbound message', rule: 'inbound_lost', plant: (h) => void h.stored.pop() },
  {
    what: 'an inbound message stored twice',
    rule: 'inbound_doubled',
    plant: (h) => void h.stored.push({ ...h.stored.at(-1)!, messageId: 'msg_in2' }),
  },
  {
    what: 'an inbound message told twice',
    rule: 'inbound_doubled',
    plant: (h) => {
      const again = { ...h.events.at(-1)!, webhookId: 'evt_again', eventId: 'evt_again', sequence: h.events.length + 1 }
      h.events.push(again)
      h.lastSequences = new Map([[session, again.sequence]])
    },
  },
  { what: 'a lost event', rule: 'event_lost', plant: (h) => void h.events.splice(4, 1) },
  { what: 'the last event lost', rule: 'event_lost', plant: (h) => void h.events.pop() },
  {
    what: 'an event repeated under another id',
    rule: 'event_doubled',
    plant: (h) => void h.events.push({ ...h.events[0]!, webhookId: 'evt_other', eventId: 'evt_other' }),
  },
  { what: 'a frame from a stale epoch', rule: 'stale_frame', plant: (h) => void (h.connections[0]!.lastByteAt = 4_000) },
  { what: 'one epoch claimed twice', rule: 'two_holders', plant: (h) => void (h.claims[1]!.epoch = 1) },
  { what: 'an epoch that fell', rule: 'two_holders', plant: (h) => void h.claims.push({ ...h.claims[0]!, at: 5_000 }) },
  { what: 'uneven shares', rule: 'uneven', plant: (h) => void (h.shares[0]!.held = 14) },
  {
    what: 'a session that did not come back',
    rule: 'unconnected',
    plant: (h) => void h.unconnected.push({ sessionId: session, text: '' }),
  },
  {
    what: 'a session that WhatsApp ended and that ended otherwise',
    rule: 'ended_otherwise',
    plant: (h) => void (h.endings[0]!.problem = 'it did not come back'),
  },
  { what: 'a fault that never hit', rule: 'not_exercised', plant: (h) => void (h.counts = { kill_worker: 0 }) },
  { what: 'a path that was never taken', rule: 'not_exercised', plant: (h) => void (h.required = ['quarantines']) },
  { what: 'something left over', rule: 'left_over', plant: (h) => void h.leftovers.push('a job') },
]

function failFirst(history: History, errorCode: string): void {
  Object.assign(history.stored[0]!, { status: 'failed', errorCode })
}

function swapStatuses(history: History, a: number, b: number): void {
  const [one, other] = [history.events[a]!, history.events[b]!]
  const { status } = one
  one.status = other.status
  other.status = status
}

test('a good history passes', () => expect(checkHistory(goodHistory())).toEqual([]))

describe('planted damage is found', () => {
  test.each(damage)('$what', ({ rule, plant }) => {
    const history = goodHistory()
    plant(history)
    expect(checkHistory(history).map((violation) => violation.rule)).toContain(rule)
  })

  test('of every kind that there is a rule for', () => {
    expect(new Set(damage.map(({ rule }) => rule))).toEqual(new Set(rules))
  })
})

describe('what is allowed', () => {
  test('a repeated delivery of the same event', () => {
    const history = goodHistory()
    history.events.push(history.events[3]!)
    expect(checkHistory(history)).toEqual([])
  })

  test('messages asked for at the same time may come in either order', () => {
    const history = goodHistory()
    for (const message of history.accepted) Object.assign(message, { requestedAt: 100, acceptedAt: 500 })
    history.shown = history.shown.toReversed()
    history.frames = history.frames.toReversed()
    expect(checkHistory(history)).toEqual([])
  })

  test('a message that WhatsApp refused is not shown', () => {
    const history = goodHistory()
    failFirst(history, 'rejected_by_whatsapp')
    history.shown.shift()
    history.events = history.events.map((event) =>
      event.sequence === 5 ? { ...event, status: 'failed', type: 'message.failed' } : event,
    )
    history.events = history.events.map((event) => ([3, 4].includes(event.sequence) ? { ...event, status: 'sending' } : event))
    expect(checkHistory(history)).toEqual([])
  })

  test('a message to a stranger that stepped aside', () => {
    const history = goodHistory()
    history.accepted[0]!.isStranger = true
    history.accepted[0]!.recipient = '254711000009'
    history.shown[0]!.phone = '254711000009'
    history.frames.push(history.frames.shift()!)
    expect(checkHistory(history)).toEqual([])
  })

  test('what people wrote while a session had no device, and what waited for a device that was removed', () => {
    for (const excuse of ['gap', 'device'] as const) {
      const history = goodHistory()
      history.stored.pop()
      if (excuse === 'gap') history.inboundGaps[0]!.from = 505
      else history.lostWithDevice.push({ sessionId: session, whatsappId: 'IN1' })
      history.events.pop()
      history.lastSequences = new Map([[session, history.events.length]])
      expect(checkHistory(history)).toEqual([])
    }
  })

  test('a message stays sent when its receipts waited for a device that was removed, and when it went to its own sender', () => {
    for (const excuse of ['device', 'self'] as const) {
      const history = goodHistory()
      history.stored[0]!.status = 'sent'
      if (excuse === 'self') history.accepted[0]!.isToSelf = true
      else history.lostWithDevice.push({ sessionId: session, whatsappId: '3EB01' })
      for (const event of history.events) if (event.sequence === 4 || event.sequence === 5) event.status = 'sent'
      expect(checkHistory(history)).toEqual([])
    }
  })

  test('bytes that left just before the claim', () => {
    const history = goodHistory()
    history.connections[0]!.lastByteAt = 2_000
    expect(checkHistory(history)).toEqual([])
  })

  test('bytes that lay on a busy link as long as the connection had lain there, but no longer', () => {
    const history = goodHistory()
    Object.assign(history.connections[0]!, { lastByteAt: 4_000, lagMs: 2_000 })
    expect(checkHistory(history)).toEqual([])
    history.connections[0]!.lastByteAt = 4_400
    expect(checkHistory(history).map(({ rule }) => rule)).toEqual(['stale_frame'])
  })
})

describe('what a run went through is counted', () => {
  const seen = { retryReceipts: 0, quarantines: 0, repeatedRequests: 0 }
  const frame = (at: number, socket: number) => ({
    at,
    socket,
    sessionId: session,
    whatsappId: 'A',
    refusedWith: null,
    isAcked: true,
  })

  test.each([
    { what: 'the next holder', frames: [frame(1_900, 1), frame(2_100, 2)], name: 'repeated_by_next_holder' },
    { what: 'the same holder on a new socket', frames: [frame(2_100, 2), frame(2_200, 3)], name: 'repeated_on_new_socket' },
    { what: 'an answer to a retry receipt', frames: [frame(2_100, 2), frame(2_200, 2)], name: 'repeated_on_same_socket' },
  ])('a repeated id: $what', ({ frames, name }) => {
    const counts = countHistory({ ...goodHistory(), frames }, seen)
    const repeats = Object.entries(counts).filter(([key, count]) => key.startsWith('repeated_') && count > 0)
    expect(repeats).toEqual([[name, 1]])
  })

  test('log lines, by what they say', () => {
    const line = (msg: string, fields = {}) => ({ time: '', pid: 1, process: 'session-worker', msg, ...fields })
    const lines = [
      line('queue.recovered', { reclaimedCount: 1, isRepaired: false }),
      line('session.fenced', { reason: 'superseded' }),
    ]
    expect(countLines(lines)).toMatchObject({ jobs_reclaimed: 1, queues_repaired: 0, fenced_writes: 1, lease_trust_lost: 0 })
  })

  test('a long run has to see every kind of fault and of end', () => {
    const kinds = plannedKinds({ seed: 1, durationMs: 0, sessionCount: 30, workerCount: 3, leaseTtlMs: 6_000 })
    const required = requiredCounts(kinds, endings)
    for (const name of [
      'kill_worker_unacked',
      'end_session_login_401',
      'repeated_by_next_holder',
      'retry_receipts',
      'quarantines',
    ])
      expect(required).toContain(name)
    expect(new Set(required).size).toBe(required.length)
  })

  test('the same seed plans the same faults, another one others', () => {
    const plan = (seed: number) => planFaults({ seed, durationMs: 600_000, sessionCount: 30, workerCount: 3, leaseTtlMs: 6_000 })
    expect(plan(7)).toEqual(plan(7))
    expect(plan(8)).not.toEqual(plan(7))
  })
})
