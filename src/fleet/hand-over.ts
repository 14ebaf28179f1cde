// Gives all sessions away at a clean end: a few at a time, each connected elsewhere before the next ones follow, so that none is down for long.
import { monotonicMs, sleep } from '../platform/clock.ts'
import { offerSessions, readLiveSession, type LiveDeps } from '../sessions/live-session.ts'
import type { Log } from '../platform/log.ts'
import type { SessionRunner } from './session-runner.ts'

type Held = Pick<SessionRunner, 'sessionId' | 'isConnected' | 'lease' | 'release'>

/** Sessions on their way at once: what the others can log in without queueing. */
const underWay = 8
const arriveMs = 1_500
const pollMs = 40
/** When the time is over, for each that is left, all at once. */
const lateMs = 2_500

interface HandOverOptions {
  /** On the monotonic clock. From then on nobody waits for arrivals, and what hangs is left behind soon. */
  deadlineAt: number
  /** Null when there is nobody. */
  receiverOf: (sessionId: string) => string | null
}

export async function handOver(
  deps: LiveDeps & { log: Log },
  runners: readonly Held[],
  { deadlineAt, receiverOf }: HandOverOptions,
): Promise<void> {
  const startedAt = monotonicMs()
  // What is not connected loses nothing by leaving first.
  const queue = runners.toSorted((a, b) => Number(a.isConnected) - Number(b.isConnected))
  let arrivedCount = 0
  const release = (runner: Held) => runner.release(Math.max(lateMs, deadlineAt - monotonicMs()))
  const giveNext = async (): Promise<void> => {
    for (let runner = queue.shift(); runner; runner = queue.shift()) {
      const { sessionId, isConnected } = runner
      try {
        await release(runner)
        const receiver = receiverOf(sessionId)
        await offerSessions(deps.redis, deps.prefix, [sessionId], receiver ?? undefined)
        if (isConnected && receiver !== null && (await hasArrived(deps, runner, deadlineAt))) arrivedCount += 1
      } catch (err) {
        // Redis is away. Nothing that one session meets may keep the others from being released.
        deps.log.debug({ err, sessionId }, 'lease.not_offered')
      }
    }
  }
  const lanes = receiverOf('') === null ? runners.length : underWay
  const arrived = new AbortController()
  const late = async () => {
    await sleep(Math.max(0, deadlineAt - monotonicMs()), arrived.signal)
    await Promise.all(queue.map(() => giveNext()))
  }
  const inLanes = Promise.all(Array.from({ length: Math.min(lanes, runners.length) }, giveNext))
  await Promise.all([inLanes.finally(() => arrived.abort()), late()])
  const durationMs = Math.round(monotonicMs() - startedAt)
  if (runners.length > 0) deps.log.info({ heldCount: runners.length, arrivedCount, durationMs }, 'fleet.handed_over')
}

async function hasArrived(deps: LiveDeps, runner: Held, deadlineAt: number): Promise<boolean> {
  const end = Math.min(monotonicMs() + arriveMs, deadlineAt)
  while (monotonicMs() < end) {
    const live = await readLiveSession(deps, runner.sessionId)
    if (live.holder !== null && live.holder !== runner.lease.incarnation && live.state === 'connected') return true
    await sleep(pollMs)
  }
  return false
}
