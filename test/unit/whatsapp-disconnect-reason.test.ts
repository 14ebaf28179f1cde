// The disconnect table, row by row, and what must never be mistaken for a logout.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { causeOf, disconnectRules, fallbackRules, ownCauses } from '../../src/whatsapp/disconnect-reason.ts'

/** As Baileys ends its sockets. */
const boom = (message: string, statusCode: number) => Object.assign(new Error(message), { isBoom: true, output: { statusCode } })

test.each([
  ['Stream Errored (restart required)', 515, 'restart_required', 'restart', false],
  ['Stream Errored (conflict)', 401, 'device_removed', 'logged_out', false],
  ['Stream Errored (conflict)', 440, 'replaced_elsewhere', 'conflict', false],
  ['Stream Errored (unknown)', 403, 'banned', 'give_up', false],
  ['Stream Errored (unknown)', 405, 'client_outdated', 'give_up', false],
  ['Stream Errored (unknown)', 411, 'pairing_rejected', 'logged_out', false],
  ['Stream Errored (unknown)', 429, 'rate_limited', 'retry_slowly', false],
  ['Stream Errored (unknown)', 500, 'stream_error', 'retry', false],
  ['Stream Errored (unknown)', 501, 'stream_error', 'retry', false],
  ['Stream Errored (xml-not-well-formed)', 500, 'stream_error', 'retry', false],
  ['Stream Errored (unknown)', 503, 'service_unavailable', 'retry_slowly', true],
  ['Connection Failure', 401, 'login_refused', 'logged_out', false],
  ['Connection Failure', 402, 'temporarily_banned', 'retry_slowly', false],
  ['Connection Failure', 403, 'banned', 'give_up', false],
  ['Connection Failure', 405, 'client_outdated', 'give_up', false],
  ['Connection Failure', 406, 'banned', 'give_up', false],
  ['Connection Failure', 409, 'client_outdated', 'give_up', false],
  ['Connection Failure', 411, 'pairing_rejected', 'logged_out', false],
  ['Connection Failure', 429, 'rate_limited', 'retry_slowly', false],
  ['Connection Failure', 440, 'replaced_elsewhere', 'conflict', false],
  ['Connection Failure', 500, 'login_failed', 'retry_slowly', false],
  ['Connection Failure', 503, 'service_unavailable', 'retry_slowly', true],
  ['QR refs attempts ended', 408, 'pairing_refs_used_up', 'new_refs', false],
  ['Connection was lost', 408, 'connection_lost', 'retry', true],
  ['Timed Out', 408, 'connection_lost', 'retry', true],
  ['Connection Terminated', 428, 'connection_closed', 'retry', true],
  ['Connection Terminated by Server', 428, 'connection_closed', 'retry', true],
  ['Multi-device beta not joined', 411, 'pairing_rejected', 'logged_out', false],
  ['WebSocket Error (connect ECONNREFUSED 127.0.0.1:1)', 408, 'unreachable', 'retry', true],
  ['WebSocket Error (getaddrinfo ENOTFOUND web.whatsapp.com)', 408, 'unreachable', 'retry', true],
  ['WebSocket Error (Opening handshake has timed out)', 408, 'unreachable', 'retry', true],
  ['WebSocket Error (self-signed certificate)', 500, 'unreachable', 'retry', true],
  ['WebSocket Error (Unexpected server response: 503)', 503, 'service_unavailable', 'retry_slowly', true],
  ['WebSocket Error (Unexpected server response: 429)', 429, 'rate_limited', 'retry_slowly', true],
])('%s with %i is %s: %s', (message, statusCode, reason, action, isNetwork) => {
  expect(causeOf(boom(message, statusCode))).toEqual({ code: statusCode, reason, action, isNetwork, detail: message })
})

test.each([
  // A proxy, a captive portal or a firewall answers the upgrade.
  ['WebSocket Error (Unexpected server response: 401)', 401],
  ['WebSocket Error (Unexpected server response: 403)', 403],
  ['WebSocket Error (Unexpected server response: 405)', 405],
  ['WebSocket Error (Unexpected server response: 411)', 411],
  // Baileys itself, before it is authenticated.
  ['Cannot proceed: socket is not authenticated yet (creds.me.id is missing)', 401],
  ['Intentional Logout', 401],
  ['invalid noise leaf certificate', 400],
])('%s is no logout, no ban and no rejected pairing', (message, statusCode) => {
  expect(causeOf(boom(message, statusCode)).action).toBe('retry')
})

test.each([
  undefined,
  null,
  'text',
  42,
  {},
  new Error('plain'),
  Object.assign(new Error('x'), { output: { statusCode: 'NaN' } }),
])('whatever Baileys hands over, %s, becomes a cause that retries', (error) => {
  const cause = causeOf(error)
  expect(cause).toMatchObject({ action: 'retry', code: 500 })
  expect(cause.detail.length).toBeGreaterThan(0)
})

test('only what the server itself says can log a session out', () => {
  const sources = disconnectRules.filter(({ action }) => action === 'logged_out').map(({ source, code }) => `${source} ${code}`)
  expect(sources.toSorted()).toEqual(['failure 401', 'failure 411', 'library 411', 'stream 401', 'stream 411'])
  expect(Object.values(fallbackRules).map(({ action }) => action)).not.toContain('logged_out')
  const own: string[] = Object.values(ownCauses).map(({ action }) => action)
  expect(own).not.toContain('logged_out')
})

test('every cause has a stable name and a detail without numbers of people', () => {
  const all = [...disconnectRules, ...Object.values(fallbackRules), ...Object.values(ownCauses)]
  for (const { reason } of all) expect(reason).toMatch(/^[a-z]+(_[a-z]+)*$/)
  expect(causeOf(new Error('gone: 254712345678:3@s.whatsapp.net')).detail).toBe('gone: …:3@s.whatsapp.net')
})

test('no message and no code makes it throw', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 400, max: 599 }), (message, statusCode) => {
      const cause = causeOf(boom(message, statusCode))
      return cause.reason !== '' && cause.detail.length <= 200
    }),
  )
  expect(causeOf(new Error('x'.repeat(10_000))).detail.length).toBeLessThanOrEqual(200)
})
