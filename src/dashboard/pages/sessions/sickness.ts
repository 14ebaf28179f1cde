// Who is ill and who only waits for somebody: the filters of the list, and the order that puts the sickest on top.
import type { SessionLine } from '../../api/resources.ts'
import { isGivenUp } from '../../parts/words.ts'

export const filters = ['all', 'critical', 'recovering', 'healthy', 'unpaired', 'stopped'] as const
export type Filter = (typeof filters)[number]

export const filterWords: Record<Filter, string> = {
  all: 'All',
  critical: 'Critical',
  recovering: 'Recovering',
  healthy: 'Healthy',
  unpaired: 'To be paired',
  stopped: 'Stopped',
}

type Standing = Pick<SessionLine, 'status' | 'statusReason' | 'health'>

/** The state first: a score may be some seconds older than it. */
export function filterOf({ status, statusReason, health }: Standing): Exclude<Filter, 'all'> {
  if (status === 'pending' || status === 'pairing') return 'unpaired'
  if (isGivenUp({ status, statusReason })) return 'critical'
  if (status === 'disconnected' || status === 'logged_out') return 'stopped'
  if (health) return health.level
  return status === 'reconnecting' ? 'recovering' : 'healthy'
}

/** Sessions that somebody stopped, or that wait to be paired, are no emergency: they stand below those that are ill. */
const rank: Record<Exclude<Filter, 'all'>, number> = { critical: 0, recovering: 1, unpaired: 2, healthy: 3, stopped: 4 }

type Line = Standing & Pick<SessionLine, 'queueDepth' | 'displayName'>

export function bySickness(a: Line, b: Line): number {
  return (
    rank[filterOf(a)] - rank[filterOf(b)] ||
    scoreOf(a) - scoreOf(b) ||
    b.queueDepth - a.queueDepth ||
    a.displayName.localeCompare(b.displayName)
  )
}

/** What is given up scores nothing, also before the next score says so. */
function scoreOf(line: Standing): number {
  return isGivenUp(line) ? 0 : (line.health?.score ?? 100)
}
