// The fleet: its workers, how full they are, and whether any is silent.
import { useEffect } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { Fleet, FleetWorker } from '../../api/resources.ts'
import { useLoad } from '../../api/use-load.ts'
import { Badge } from '../../parts/badge.tsx'
import { Empty, Load } from '../../parts/states.tsx'
import { count, duration } from '../../parts/words.ts'

const refreshMs = 3_000
/** Workers renew every TTL/3; one that is silent for longer than this is in trouble. */
const silentSeconds = 6

export function FleetPage() {
  const fleet = useLoad('/v1/fleet', (signal) => request<Fleet>('GET', '/v1/fleet', { signal }), refreshMs)
  useEffect(() => {
    document.title = 'Fleet · Ujumbe'
  }, [])
  return (
    <>
      <div class="page-head">
        <h1>Fleet</h1>
      </div>
      <Load of={fleet} what="fleet">
        {(data) => (data.workers.length === 0 ? <NoWorkers /> : <Workers fleet={data} />)}
      </Load>
    </>
  )
}

function NoWorkers() {
  return (
    <Empty title="No worker is running">
      <p>
        No session can be connected until one is. Start one with <code>npm start</code>, or look into its log.
      </p>
    </Empty>
  )
}

function Workers({ fleet }: { fleet: Fleet }) {
  const { workers, totals } = fleet
  const silent = workers.filter((worker) => worker.heartbeatAgeSeconds > silentSeconds).length
  const tiles: [label: string, value: string, note?: string][] = [
    ['Workers', count(workers.length), silent > 0 ? `${count(silent)} silent` : 'all answering'],
    ['Sessions held', count(totals.sessions), `room for ${count(totals.capacity)}`],
    ['Not held', count(totals.unheld), totals.unheld > 0 ? 'waiting for a worker' : 'each has its worker'],
    ['Takeovers', count(totals.takeovers), 'from workers that died'],
  ]
  return (
    <>
      <dl class="tiles">
        {tiles.map(([label, value, note]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
            <dd class="note">{note}</dd>
          </div>
        ))}
      </dl>
      <ul class="workers" aria-label="Workers">
        {workers
          .toSorted((a, b) => a.host.localeCompare(b.host) || a.incarnation.localeCompare(b.incarnation))
          .map((worker) => (
            <Worker key={worker.incarnation} worker={worker} />
          ))}
      </ul>
    </>
  )
}

function Worker({ worker }: { worker: FleetWorker }) {
  const isSilent = worker.heartbeatAgeSeconds > silentSeconds
  const share = worker.capacity > 0 ? worker.sessions / worker.capacity : 0
  return (
    <li class="panel">
      <header>
        <h2>{worker.host}</h2>
        {isSilent ? (
          <Badge tone="bad">Silent</Badge>
        ) : worker.draining ? (
          <Badge tone="warn">Handing over</Badge>
        ) : (
          <Badge tone="good">Working</Badge>
        )}
      </header>
      <label class="load">
        <span>
          {count(worker.sessions)} of {count(worker.capacity)} sessions
        </span>
        <progress class={share >= 0.95 ? 'full' : ''} value={worker.sessions} max={Math.max(1, worker.capacity)} />
      </label>
      <dl class="pairs">
        <dt>Heartbeat</dt>
        <dd>{duration(worker.heartbeatAgeSeconds * 1000)} ago</dd>
        <dt>Takeovers</dt>
        <dd>{count(worker.takeovers)}</dd>
        <dt>Version</dt>
        <dd>{worker.version}</dd>
        <dt>Incarnation</dt>
        <dd>
          <code>{worker.incarnation}</code>
        </dd>
      </dl>
    </li>
  )
}
