// The fleet as an operator sees it: the workers that live, what each holds, and how many sessions nobody holds.
import type { Redis } from 'ioredis'
import { defineScript } from '../platform/redis-script.ts'
import { readLeaseStates } from '../sessions/lease-scripts.ts'
import { takeoversKey, workerKey, workersKey } from '../sessions/session-keys.ts'
import type { WorkerView } from '../sessions/worker-heartbeat.ts'
import type { SessionStore } from '../store/session-store.ts'

interface FleetViewDeps {
  redis: Redis
  prefix: string
  sessions: Pick<SessionStore, 'listClaimable'>
}

export interface FleetView {
  workers: {
    incarnation: string
    host: string
    pid: number
    sessions: number
    capacity: number
    heartbeatAgeSeconds: number
    draining: boolean
    version: string
    startedAt: number
    takeovers: number
  }[]
  totals: {
    sessions: number
    capacity: number
    /** Sessions that a worker should hold and none does. */
    unheld: number
    /** From workers that died; the ended workers' too. */
    takeovers: number
  }
}

const workersScript = defineScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local beats = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local living = {}
for i = 1, #beats, 2 do
  local value = redis.call('GET', ARGV[1] .. beats[i])
  if value then
    living[#living + 1] = value
    living[#living + 1] = tostring(now - tonumber(beats[i + 1]))
  end
end
return { redis.call('GET', KEYS[2]) or '0', living }
`)

const page = 500

/** Some commands in all, however many workers and sessions there are. @throws what Redis and the store answer when they are away */
export async function readFleet(deps: FleetViewDeps): Promise<FleetView> {
  const { workers, totals } = await readWorkers(deps)
  return { workers, totals: { ...totals, unheld: await countUnheld(deps) } }
}

type Workers = Pick<FleetView, 'workers'> & { totals: Omit<FleetView['totals'], 'unheld'> }

/** What Redis alone knows: the store may be away. @throws what Redis answers when it is away */
export async function readWorkers({ redis, prefix }: Omit<FleetViewDeps, 'sessions'>): Promise<Workers> {
  const answer = await workersScript(redis, [workersKey(prefix), takeoversKey(prefix)], [workerKey(prefix, '')])
  const [takeovers, living] = answer as [string, string[]]
  const workers: FleetView['workers'] = []
  for (let i = 0; i + 1 < living.length; i += 2) {
    const view = JSON.parse(living[i] ?? '') as WorkerView
    const { incarnation, hostId: host, pid, held, capacity, draining, version, startedAt } = view
    const heartbeatAgeSeconds = Math.max(0, Number(living[i + 1])) / 1_000
    workers.push({
      incarnation,
      host,
      pid,
      sessions: held,
      capacity,
      heartbeatAgeSeconds,
      draining,
      version,
      startedAt,
      takeovers: view.takeovers,
    })
  }
  const sum = (of: 'sessions' | 'capacity') => workers.reduce((total, worker) => total + worker[of], 0)
  return {
    workers: workers.toSorted((a, b) => a.host.localeCompare(b.host) || a.startedAt - b.startedAt),
    totals: { sessions: sum('sessions'), capacity: sum('capacity'), takeovers: Number(takeovers) },
  }
}

/** @throws what Redis and the store answer when they are away */
export async function countUnheld({ redis, prefix, sessions }: FleetViewDeps): Promise<number> {
  let count = 0
  for (let afterId = ''; ;) {
    const rows = await sessions.listClaimable({ afterId, limit: page })
    const ids = rows.map(({ id }) => id)
    const states = await readLeaseStates({ redis, prefix }, '', ids)
    count += states.filter((state) => state === 'free').length
    const last = ids.at(-1)
    if (last === undefined || rows.length < page) return count
    afterId = last
  }
}
