// Alert rules against what Prometheus would have seen in the case they are for: evaluated by promtool over time.
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SharedMetrics } from '../../src/platform/metrics.ts'
import { closeRedis, connectRedis } from '../../src/platform/redis.ts'
import { startTestRedis } from '../support/redis.ts'
import { silentLog } from '../support/webhooks.ts'

const rules = resolve(import.meta.dirname, '..', '..', 'ops', 'alerts.yaml')
const hasPromtool = spawnSync('promtool', ['--version'], { stdio: 'ignore' }).status === 0
if (!hasPromtool) console.warn('\nSKIPPED: alerts over time (no promtool found; Debian: apt-get install prometheus)\n')

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uj-rules-'))
})
afterAll(() => rm(directory, { recursive: true }))

const labels = '{process="webhook-worker",host="a",pid="1"}'
const repeated = (values: string) => Array.from({ length: 20 }, () => values).join(' ')
/** Values by the minute: `0x5` is six times nothing, `1+2x3` is 1, 3, 5, 7, `_` no series yet. */
const cases: [alert: string, fires: boolean, what: string, series: Record<string, string>][] = [
  [
    'UjumbeNothingLeaves',
    true,
    'no worker has sent anything since it began, and messages wait',
    { ujumbe_oldest_waiting_seconds: '0+60x60' },
  ],
  [
    'UjumbeNothingLeaves',
    true,
    'workers have stopped sending',
    { ujumbe_oldest_waiting_seconds: '0+60x60', 'ujumbe_message_sends_total{outcome="acked"}': '7x60' },
  ],
  [
    'UjumbeNothingLeaves',
    false,
    'messages leave, though the oldest waits',
    { ujumbe_oldest_waiting_seconds: '0+60x60', 'ujumbe_message_sends_total{outcome="acked"}': '0+3x60' },
  ],
  [
    'UjumbeSendsNotAcknowledged',
    true,
    'half of the sends stay without an acknowledgement',
    { 'ujumbe_message_sends_total{outcome="unknown"}': '0+1x60', 'ujumbe_message_sends_total{outcome="acked"}': '0+1x60' },
  ],
  [
    'UjumbeSendsNotAcknowledged',
    false,
    'the one send of a quiet hour was made again',
    { 'ujumbe_message_sends_total{outcome="unknown"}': '0x43 1x20', 'ujumbe_message_sends_total{outcome="acked"}': '0x43 1x20' },
  ],
  [
    'UjumbeSendsRejected',
    true,
    'every third message is refused',
    { 'ujumbe_message_sends_total{outcome="rejected"}': '0+1x60', 'ujumbe_message_sends_total{outcome="acked"}': '0+2x60' },
  ],
  [
    'UjumbeSendsRejected',
    false,
    'the one message of a quiet hour is refused',
    { 'ujumbe_message_sends_total{outcome="rejected"}': '0x38 1x22', 'ujumbe_message_sends_total{outcome="acked"}': '7x60' },
  ],
  [
    'UjumbeWebhooksDead',
    true,
    'a burst from a worker that had none before',
    { [`ujumbe_webhook_jobs_total${labels.replace('}', ',outcome="dead"}')}`]: '0x39 500x20' },
  ],
  [
    'UjumbeWebhookBacklog',
    true,
    'events wait for a receiver that is down, and no job of theirs',
    {
      'ujumbe_webhook_deliveries{status="pending"}': '500000x60',
      'ujumbe_queue_jobs{queue="webhook-deliveries",state="waiting"}': '0x60',
    },
  ],
  ['UjumbeWebhookBacklog', false, 'few wait', { 'ujumbe_webhook_deliveries{status="pending"}': '900x60' }],
  [
    'UjumbeWebhookBreakersOpen',
    true,
    'each try at a receiver that hangs takes so long that the breaker is half-open for a while',
    {
      'ujumbe_webhook_breakers{state="open"}': repeated('1 1 0'),
      'ujumbe_webhook_breakers{state="half-open"}': repeated('0 0 1'),
    },
  ],
  [
    'UjumbeWebhookBreakersOpen',
    false,
    'the breaker opened minutes ago',
    { 'ujumbe_webhook_breakers{state="open"}': '0x44 1x15', 'ujumbe_webhook_breakers{state="half-open"}': '0x60' },
  ],
  [
    'UjumbeWebhookEndpointsDisabled',
    true,
    'one has been disabled for its failures',
    { 'ujumbe_webhook_endpoints{state="disabled"}': '0x45 1x15', 'ujumbe_webhook_endpoints{state="enabled"}': '5x60' },
  ],
  [
    'UjumbeWebhookEndpointsDisabled',
    false,
    'some were switched off',
    { 'ujumbe_webhook_endpoints{state="disabled"}': '0x60', 'ujumbe_webhook_endpoints{state="off"}': '2x60' },
  ],
  [
    'UjumbeRedisMemory',
    true,
    'nearly all of it is used',
    { ujumbe_redis_memory_bytes: '850x60', ujumbe_redis_memory_limit_bytes: '1000x60' },
  ],
  [
    'UjumbeRedisMemory',
    false,
    'a Redis does not say how much it may use',
    { ujumbe_redis_memory_bytes: '500x60', ujumbe_redis_memory_limit_bytes: '0x60' },
  ],
  [
    'UjumbeRedisMemory',
    false,
    'half of it is used',
    { ujumbe_redis_memory_bytes: '500x60', ujumbe_redis_memory_limit_bytes: '1000x60' },
  ],
]

test.skipIf(!hasPromtool).each(cases)('%s fires: %s, where %s', async (alert, fires, _what, series) => {
  const file = join(directory, 'case.yaml')
  // promtool compares labels and texts too; whether it fires is all that is asked here.
  const expr = `count(ALERTS{alertname="${alert}",alertstate="firing"}) or vector(0)`
  await writeFile(
    file,
    JSON.stringify({
      rule_files: [rules],
      evaluation_interval: '1m',
      tests: [
        {
          interval: '1m',
          input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
          promql_expr_test: [{ expr, eval_time: '50m', exp_samples: [{ labels: '{}', value: fires ? 1 : 0 }] }],
        },
      ],
    }),
  )
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' })
  expect(`${stdout}${stderr}`).toContain('SUCCESS')
  expect(status).toBe(0)
})

test('outcomes that alerts ask for are shown before the first of them, so that it counts as an increase', async () => {
  await Promise.all([import('../../src/webhooks/delivery-metrics.ts'), import('../../src/messages/message-metrics.ts')])
  const server = await startTestRedis()
  const redis = connectRedis(server.target, 'worker', silentLog)
  const metrics = new SharedMetrics({ redis, prefix: 'am', name: 'test', log: silentLog })
  const text = await metrics.render(new Registry())
  for (const outcome of ['dead', 'failed', 'succeeded']) {
    expect(text).toMatch(new RegExp(`^ujumbe_webhook_jobs_total\\{outcome="${outcome}".* 0$`, 'm'))
  }
  for (const outcome of ['acked', 'rejected', 'unknown', 'gave_up']) {
    expect(text).toMatch(new RegExp(`^ujumbe_message_sends_total\\{outcome="${outcome}".* 0$`, 'm'))
  }
  await metrics.close()
  await closeRedis(redis)
  await server.close()
})
