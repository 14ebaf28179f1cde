// Signatures and bodies, checked with the `standardwebhooks` package rather than with our own code.
import { Webhook } from 'standardwebhooks'
import { expect, test } from 'vitest'
import type { EventRecord } from '../../src/store/event-store.ts'
import { signedHeaders } from '../../src/webhooks/deliver-event.ts'
import { eventBody } from '../../src/webhooks/event.ts'
import { newWebhookSecret, signingKey } from '../../src/webhooks/sign.ts'

const event: EventRecord = {
  id: 'evt_01',
  type: 'message.received',
  sessionId: 'ses_01',
  sequence: 7,
  at: 1_700_000_000_000,
  cursor: '9',
  data: { message: { text: { body: 'Habari ❤ "quoted" \u2028 line' } } },
}
const body = eventBody(event)

test('a body holds the fields of the contract and nothing else', () => {
  expect(JSON.parse(body)).toEqual({
    id: 'evt_01',
    type: 'message.received',
    timestamp: '2023-11-14T22:13:20.000Z',
    sessionId: 'ses_01',
    sequence: 7,
    data: event.data,
  })
})

test('the standardwebhooks package accepts the signature, also with non-ASCII text', () => {
  const secret = newWebhookSecret()
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
  const headers = signedHeaders({ headers: {}, signingKeys: [signingKey(secret)] }, event.id, body)
  expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body))
})

test('one changed byte, another id or another secret is not accepted', () => {
  const secret = newWebhookSecret()
  const headers = signedHeaders({ headers: {}, signingKeys: [signingKey(secret)] }, event.id, body)
  expect(() => new Webhook(secret).verify(body.replace('Habari', 'habari'), headers)).toThrow('No matching signature')
  expect(() => new Webhook(secret).verify(body, { ...headers, 'webhook-id': 'evt_02' })).toThrow('No matching signature')
  expect(() => new Webhook(newWebhookSecret()).verify(body, headers)).toThrow('No matching signature')
})

test('during a rotation both secrets verify', () => {
  const [newer, older] = [newWebhookSecret(), newWebhookSecret()]
  const headers = signedHeaders({ headers: {}, signingKeys: [signingKey(newer), signingKey(older)] }, event.id, body)
  expect(headers['webhook-signature']?.split(' ')).toHaveLength(2)
  expect(() => new Webhook(newer).verify(body, headers)).not.toThrow()
  expect(() => new Webhook(older).verify(body, headers)).not.toThrow()
})

test("an endpoint's own headers never replace ours", () => {
  const own = { 'Webhook-Id': 'forged', 'USER-AGENT': 'forged', 'content-type': 'text/plain', host: 'forged', 'x-token': 'kept' }
  const headers = signedHeaders({ headers: own, signingKeys: [signingKey(newWebhookSecret())] }, event.id, body)
  expect(Object.values(headers)).not.toContain('forged')
  expect(headers).toMatchObject({ 'x-token': 'kept', 'content-type': 'application/json', 'webhook-id': 'evt_01' })
  expect(headers['user-agent']).toMatch(/^Ujumbe\/\d+\.\d+\.\d+/)
})
