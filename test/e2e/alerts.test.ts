// The alert rules and the Grafana dashboard against what a running fleet really shows: every metric exists, and Prometheus evaluates every expression.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../scripts/support/ports.ts'
import { startTestFleet, type TestFleet } from '../support/fleet.ts'
import { waitFor } from '../support/wait.ts'

const ops = resolve(import.meta.dirname, '..', '..', 'ops')
const hasPrometheus = spawnSync('prometheus', ['--version'], { stdio: 'ignore' }).status === 0
if (!hasPrometheus) console.warn('\nSKIPPED: evaluating alerts (no prometheus found; Debian: apt-get install prometheus)\n')

let fleet: TestFleet
let directory: string
let prometheus: ChildProcess | undefined
let alerts: string
let dashboard: { panels: { title: string; targets: { expr: string }[] }[] }
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uj-prometheus-'))
  alerts = await readFile(join(ops, 'alerts.yaml'), 'utf8')
  dashboard = JSON.parse(await readFile(join(ops, 'grafana-dashboard.json'), 'utf8')) as typeof dashboard
  fleet = await startTestFleet({ sessions: 1 })
  const session = await fleet.pairedSession('254799300301')
  await fleet.sandbox.addPhone({ phoneNumber: '254799300302', autoRead: true })
  const { id } = await fleet.fleet.admin.withKey(session.apiKey).sendText('254799300302', 'hello')
  await waitFor('it is read', () =>
    [...fleet.receiver.events.values()].some(({ type, data }) => type === 'message.read' && data.message?.id === id),
  )
}, 120_000)
afterAll(async () => {
  if (prometheus) {
    prometheus.kill('SIGKILL')
    await once(prometheus, 'exit')
  }
  await fleet.close()
  await rm(directory, { recursive: true, force: true })
})

async function metrics(): Promise<string> {
  const headers = { authorization: `Bearer ${fleet.fleet.admin.key}` }
  return (await fetch(`${fleet.fleet.apiUrl}/metrics`, { headers })).text()
}

const namesIn = (text: string) => [...new Set(text.match(/\bujumbe_\w+/g))].map((name) => name.replace(/_(bucket|count)$/, ''))

/** What Prometheus adds to each series. */
const addedLabels = ['instance', 'job']
/** Labels of what a fleet that is well has no series of. */
const quietLabels: Record<string, string[]> = {
  ujumbe_tick_failures_total: ['tick'],
  ujumbe_session_score: ['session_id'],
  ujumbe_pacing_waits_total: ['by'],
  ujumbe_pacing_wait_seconds_bucket: ['by', 'le'],
}

/** Each value that an expression compares a label with, and each label that it groups by. */
function askedIn(expr: string): { what: string; isShown: (text: string) => boolean }[] {
  const has = (name: string, label: string, value: string) => (text: string) =>
    new RegExp(`^${name}\\{(?:.*,)?${label}="${value}"[,}]`, 'm').test(text)
  const selectors = [...expr.matchAll(/\b(ujumbe_\w+)(?:\{([^}]*)\})?/g)]
  const values = selectors.flatMap(([, name = '', inBraces = '']) =>
    [...inBraces.matchAll(/(\w+)=~?"([^"]*)"/g)].flatMap(([, label = '', wanted = '']) =>
      wanted.split('|').map((value) => ({ what: `${name}{${label}="${value}"}`, isShown: has(name, label, value) })),
    ),
  )
  const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels = '']) =>
    labels.split(',').map((label) => label.trim()),
  )
  const labels = grouped
    .filter((label) => !addedLabels.includes(label))
    .map((label) => ({
      what: `by (${label}) in ${expr}`,
      isShown: (text: string) =>
        selectors.every(([, name = '']) => quietLabels[name]?.includes(label) ?? has(name, label, '[^"]*')(text)),
    }))
  return [...values, ...labels]
}

test('every metric that an alert or a panel asks for is shown, by every process that has it', { timeout: 60_000 }, async () => {
  const asked = namesIn([alerts, ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))].join('\n'))
  expect(asked.length).toBeGreaterThan(40)
  const text = await waitFor(
    'all processes have shared theirs',
    async () => {
      const shown = await metrics()
      const all = ['api', 'session-worker', 'webhook-worker', 'scheduler'].every((name) => shown.includes(`process="${name}"`))
      return all && /ujumbe_message_sends_total\{outcome="acked".* 1$/m.test(shown) && shown
    },
    30_000,
    250,
  )
  const defined = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map((match) => match[1]))
  expect(asked.filter((name) => !defined.has(name))).toEqual([])
  const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(new Set(series.map((line) => line.slice(0, line.lastIndexOf(' ')))).size).toBe(series.length)
  expect(text).toMatch(/^ujumbe_leases_held\{.*process="session-worker".*\} \d$/m)
  expect(text).toMatch(/^ujumbe_sessions_unheld 0$/m)
})

test('every label and every value of one that an alert or a panel asks for is shown', { timeout: 60_000 }, async () => {
  const expressions = [
    ...[...alerts.matchAll(/expr: (?:>-\n((?: {10}.*\n)+)|(.*))/g)].map(([, folded, plain]) => folded ?? plain ?? ''),
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ]
  expect(expressions.length).toBeGreaterThan(60)
  const text = await metrics()
  const missing = expressions.flatMap((expr) =>
    askedIn(expr)
      .filter(({ isShown }) => !isShown(text))
      .map(({ what }) => what),
  )
  expect(missing).toEqual([])
})

test.skipIf(!hasPrometheus)(
  'Prometheus evaluates all of them; none fires on a healthy fleet, and those for dead workers do',
  {
    timeout: 150_000,
  },
  async () => {
    const port = await freePort(29_000 + Math.floor(Math.random() * 5_000))
    const { port: apiPort } = new URL(fleet.fleet.apiUrl)
    await writeFile(
      join(directory, 'prometheus.yml'),
      `global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ['${join(ops, 'alerts.yaml')}']
scrape_configs:
  - job_name: ujumbe
    authorization: {credentials: '${fleet.fleet.admin.key}'}
    static_configs: [{targets: ['127.0.0.1:${apiPort}']}]
`,
    )
    prometheus = spawn(
      'prometheus',
      [
        `--config.file=${join(directory, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: 'ignore' },
    )
    const ask = async <T>(path: string): Promise<T> => {
      const answer = (await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json()) as { status: string; data: T }
      expect(answer.status, path).toBe('success')
      return answer.data
    }
    type Vector = { result: { value: [number, string] }[] }
    const evaluate = async (expr: string) => (await ask<Vector>(`query?query=${encodeURIComponent(expr)}`)).result
    await waitFor(
      'some scrapes',
      async () => {
        const scraped = await evaluate('sum(count_over_time(ujumbe_redis_up[1m]))').catch(() => [])
        return Number(scraped[0]?.value[1] ?? 0) >= 4
      },
      40_000,
      250,
    )
    for (const { title, targets } of dashboard.panels) {
      for (const { expr } of targets) expect(await evaluate(expr), title).toBeInstanceOf(Array)
    }
    interface Rule {
      name: string
      query: string
      health: string
      lastError?: string
    }
    const rules = (await ask<{ groups: { rules: Rule[] }[] }>('rules')).groups.flatMap((group) => group.rules)
    expect(rules.length).toBeGreaterThan(15)
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([])
    const trueNow = async () => {
      const found = await Promise.all(rules.map(async ({ name, query }) => ({ name, count: (await evaluate(query)).length })))
      return found.filter(({ count }) => count > 0).map(({ name }) => name)
    }
    // Numbers come every ten seconds: before the second time nothing has increased.
    await waitFor('none is true', async () => (await trueNow()).length === 0, 40_000, 500)

    await fleet.fleet.pm2('stop', 'session-worker', '--silent')
    const wanted = ['UjumbeNoWorkers', 'UjumbeSessionsUnheld']
    await waitFor(
      'the alerts are true',
      async () => {
        const names = await trueNow()
        return wanted.every((name) => names.includes(name))
      },
      40_000,
      500,
    )
  },
)
