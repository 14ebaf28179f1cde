// Which sessions the dashboard puts on top, and under which filter each is found.
import { expect, test } from 'vitest'
import { bySickness, filterOf } from '../../src/dashboard/pages/sessions/sickness.ts'
import { disconnectRules, ownCauses } from '../../src/whatsapp/disconnect-reason.ts'

const line = (displayName: string, status: string, statusReason?: string, score?: number) =>
  ({
    displayName,
    status,
    ...(statusReason === undefined ? {} : { statusReason }),
    health:
      score === undefined
        ? null
        : { score, level: score > 80 ? 'healthy' : score > 50 ? 'recovering' : 'critical', reason: null },
    queueDepth: 0,
  }) as Parameters<typeof bySickness>[0]

test('a session that was given up is critical and stands above all that live, whatever its last score was', () => {
  const reasons = [...disconnectRules, ownCauses.credentialsUnreadable]
    .filter(({ action }) => action === 'give_up' || action === 'logged_out' || action === 'conflict')
    .map(({ action, reason }) => ({ reason, status: action === 'logged_out' ? 'logged_out' : 'disconnected' }))
    .concat({ reason: 'pairing_timed_out', status: 'disconnected' })
  expect(reasons.length).toBeGreaterThan(8)
  for (const { status, reason } of reasons) {
    for (const score of [0, 100, undefined]) {
      const lost = line('Lost', status, reason, score)
      const lines = [line('Well', 'connected', undefined, 100), line('Ill', 'connected', undefined, 20), lost]
      expect(filterOf(lost), reason).toBe('critical')
      expect(lines.toSorted(bySickness)[0]?.displayName, reason).toBe('Lost')
    }
  }
})

test('what somebody stopped, and what waits to be paired, is no emergency', () => {
  expect(filterOf(line('Off', 'disconnected', 'requested', 60))).toBe('stopped')
  expect(filterOf(line('Off', 'logged_out', 'requested', 0))).toBe('stopped')
  expect(filterOf(line('New', 'pending'))).toBe('unpaired')
  expect(filterOf(line('New', 'pairing', 'proxy_failed', 60))).toBe('unpaired')
})

test('the order is critical, recovering, to be paired, healthy, stopped, and by score within each', () => {
  const lines = [
    line('Stopped', 'disconnected', 'requested', 60),
    line('Healthy', 'connected', undefined, 100),
    line('New', 'pairing', undefined, 60),
    line('Recovering', 'reconnecting', 'connection_lost', 70),
    line('Critical', 'reconnecting', 'temporarily_banned', 30),
    line('Banned', 'disconnected', 'banned', 0),
  ]
  const names = lines.toSorted(bySickness).map(({ displayName }) => displayName)
  expect(names).toEqual(['Banned', 'Critical', 'Recovering', 'New', 'Healthy', 'Stopped'])
})
