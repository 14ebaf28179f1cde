// How well a session is: the score and what it lost points for, its signals, and how both went over time.
import { useMemo } from 'preact/hooks'
import type { Health, HealthPoint, HealthWindow, Signals } from '../../api/resources.ts'
import { Badge, Score } from '../../parts/badge.tsx'
import { Chart } from '../../parts/chart.tsx'
import { now } from '../../parts/clock.ts'
import { atDay, count, duration, levelWords, percent, plural, shortDuration, shortSpan } from '../../parts/words.ts'
import { slotsOf, throughputOf } from './history.ts'
import { UptimeBar } from './uptime-bar.tsx'

const windowMs: Record<HealthWindow, number> = { '1h': 3_600_000, '24h': 86_400_000, '7d': 7 * 86_400_000 }
const windowWords: Record<HealthWindow, string> = { '1h': 'hour', '24h': 'day', '7d': 'week' }
const drawEveryMs = 15_000

export function HealthPanel({ health, window }: { health: Health; window: HealthWindow }) {
  const level = levelWords[health.level]
  return (
    <div class="health-panel">
      <div class="panel verdict">
        <Score health={health} size="large" />
        <div>
          <Badge tone={level.tone}>{level.label}</Badge>
          {health.reasons.length === 0 ? (
            <p>Nothing costs it points.</p>
          ) : (
            <ul class="reasons">
              {health.reasons.map((reason) => (
                <li key={reason.code}>
                  <span class="points">−{Math.round(reason.points)}</span> {reason.text}
                </li>
              ))}
            </ul>
          )}
        </div>
      </div>
      <Tiles signals={health.signals} window={window} />
      <Pictures health={health} window={window} />
      <Actions history={health.history} />
    </div>
  )
}

function Tiles({ signals, window }: { signals: Signals; window: HealthWindow }) {
  const { uptimePercent, deliveryRate, ackLatencyMsP95, reconnectCount, secondsSinceLastEvent } = signals
  const { heartbeatAgeSeconds, queueDepth, oldestQueuedSeconds } = signals
  const span = (seconds: number | null) => (seconds === null ? null : `${duration(seconds * 1000)} ago`)
  const tiles: [label: string, value: string | null, note?: string | undefined][] = [
    ['Uptime', uptimePercent === null ? null : percent(uptimePercent), `this ${windowWords[window]}`],
    ['Delivered', deliveryRate === null ? null : percent(deliveryRate * 100), 'of what WhatsApp took'],
    ['Acknowledged in', ackLatencyMsP95 === null ? null : shortDuration(ackLatencyMsP95), '95 % are faster than this'],
    ['Reconnects', count(reconnectCount), `this ${windowWords[window]}`],
    ['Heartbeat', span(heartbeatAgeSeconds), 'when WhatsApp was last heard'],
    ['Last event', span(secondsSinceLastEvent)],
    [
      'Queue',
      count(queueDepth),
      oldestQueuedSeconds === null ? undefined : `oldest waits ${duration(oldestQueuedSeconds * 1000)}`,
    ],
  ]
  return (
    <dl class="tiles">
      {tiles.map(([label, value, note]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value ?? <span class="quiet">no data</span>}</dd>
          {note && <dd class="note">{note}</dd>}
        </div>
      ))}
    </dl>
  )
}

function Pictures({ health: { history, connections }, window }: { health: Health; window: HealthWindow }) {
  // The pictures move with the clock, but not every second.
  const end = Math.ceil(now.value / drawEveryMs) * drawEveryMs
  const from = end - windowMs[window]
  const score = useMemo(
    () => ({ times: history.map((point) => Date.parse(point.at) / 1000), values: history.map((point) => point.score) }),
    [history],
  )
  const traffic = useMemo(() => throughputOf(history, window, from, end), [history, window, from, end])
  const slots = useMemo(() => slotsOf(connections, from, end), [connections, from, end])
  const spanSeconds: [number, number] = [from / 1000, end / 1000]
  return (
    <>
      <figure class="panel picture">
        <figcaption>Score</figcaption>
        {history.length === 0 ? (
          <p class="quiet">No score in this time yet. The first comes soon after the session is connected.</p>
        ) : (
          <Chart
            {...score}
            kind="line"
            height={190}
            range={scoreRange}
            zones={zones}
            span={spanSeconds}
            summary={scoreSummary(history, window)}
          />
        )}
        <UptimeBar slots={slots} from={from} to={end} />
      </figure>
      <div class="pair">
        <Throughput
          label="sent"
          total={traffic.sentTotal}
          values={traffic.sent}
          traffic={traffic}
          span={spanSeconds}
          window={window}
        />
        <Throughput
          label="received"
          total={traffic.receivedTotal}
          values={traffic.received}
          traffic={traffic}
          span={spanSeconds}
          window={window}
        />
      </div>
    </>
  )
}

interface ThroughputProps {
  label: string
  total: number
  values: number[]
  traffic: ReturnType<typeof throughputOf>
  span: [number, number]
  window: HealthWindow
}

function Throughput({ label, total, values, traffic, span, window }: ThroughputProps) {
  const range = useMemo<[number, number]>(() => [0, Math.max(4, ...values) * 1.1], [values])
  return (
    <figure class="panel picture">
      <figcaption>
        {count(total)} {label} <span class="quiet">each bar {shortSpan(traffic.slotMs)}</span>
      </figcaption>
      <Chart
        times={traffic.times}
        values={values}
        kind="bars"
        height={120}
        range={range}
        span={span}
        format={wholeNumber}
        summary={`${plural(total, 'message')} ${label} in the last ${windowWords[window]}`}
      />
    </figure>
  )
}

const scoreRange: [number, number] = [0, 100]
const zones: [number, number] = [50, 80]
const wholeNumber = (value: number): string => (Number.isInteger(value) ? count(value) : '')

function scoreSummary(history: HealthPoint[], window: HealthWindow): string {
  const scores = history.map((point) => point.score)
  return `Score over the last ${windowWords[window]}: between ${Math.min(...scores)} and ${Math.max(...scores)}, now ${scores.at(-1) ?? 0}`
}

/** What the watchdog did about it, newest first. */
function Actions({ history }: { history: HealthPoint[] }) {
  const actions = history
    .flatMap((point) => (point.actions ?? []).map((action) => ({ ...action, at: point.at })))
    .toReversed()
    .slice(0, 20)
  if (actions.length === 0) return null
  return (
    <section class="panel" aria-labelledby="actions-title">
      <h3 id="actions-title">What was done about it</h3>
      <ul class="actions">
        {actions.map(({ action, reason, at }, index) => (
          <li key={`${at}-${index}`}>
            <time dateTime={at}>{atDay(at)}</time> <strong>{action === 'reconnect' ? 'Reconnected' : action}</strong>: {reason}
          </li>
        ))}
      </ul>
    </section>
  )
}
