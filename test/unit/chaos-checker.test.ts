// The checker of the chaos run: a good history passes, and each kind of damage planted into it is found.
import { describe, expect, test } from 'vitest'
import { checkHistory } from '../../scripts/chaos/check/check-history.ts'
import { rules, type History, type Rule } from '../../scripts/chaos/check/history.ts'
import { goodHistory, phone, session } from '../support/chaos-history.ts'

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
  {
    what: 'a message that was shown, refused later, and of which no receipt was heeded',
    rule: 'failed',
    plant: (h) => {
      failFirst(h, 'outcome_unknown')
      h.frames[0]!.refusedWith = 500
      h.inboundGaps = []
    },
  },
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

  test.each(['rejected_by_whatsapp', 'outcome_unknown'])('a message that WhatsApp refused is not shown: %s', (code) => {
    const history = goodHistory()
    failFirst(history, code)
    history.frames[0]!.refusedWith = 500
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
