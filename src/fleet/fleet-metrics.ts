// What is counted of sessions and their sockets: leases held and lost, takeovers and their time, connections, reconnects and their reasons.
import { monotonicMs } from '../platform/clock.ts'
import { counter, gauge, histogram } from '../platform/metrics.ts'
import type { LivingWorker } from '../sessions/worker-heartbeat.ts'

const leasesHeld = gauge('ujumbe_leases_held', 'Sessions that this worker holds.')
const sessionsConnected = gauge('ujumbe_sessions_connected', 'Sessions that this worker holds and that are connected.')
const socketOpensWaiting = gauge('ujumbe_socket_opens_waiting', 'Sessions of this worker that wait for their turn to connect.')
export const leasesClaimed = counter('ujumbe_leases_claimed_total', 'Sessions claimed.')
export const takeoverCount = counter('ujumbe_takeovers_total', 'Sessions taken from workers that died.')
export const takeoverSeconds = histogram(
  'ujumbe_takeover_seconds',
  'From the last sign of life of a dead worker to each of its sessions connected again.',
  [0.5, 1, 2, 4, 6, 8, 10, 15, 30, 60, 120],
)
export const trustLost = counter(
  'ujumbe_lease_trust_lost_total',
  'How often this worker could not renew in time and closed every socket.',
)
export const socketOpens = counter('ujumbe_socket_opens_total', 'Connections to WhatsApp opened.')
export const reconnects = counter('ujumbe_reconnects_total', 'Connections that ended and are made again, by reason.', ['reason'])

const keepHeardMs = 600_000

/** What the fleet tells at each round; remembers when each worker was last heard of, also for some time after its end. */
export class FleetMeter {
  readonly #heardAt = new Map<string, number>()

  heard(workers: readonly LivingWorker[], ttlMs: number): void {
    const now = monotonicMs()
    for (const { incarnation, ttlLeftMs } of workers) this.#heardAt.set(incarnation, now - ttlMs + ttlLeftMs)
    for (const [incarnation, at] of this.#heardAt) if (now - at > keepHeardMs) this.#heardAt.delete(incarnation)
  }

  /** On the monotonic clock; now for one that this worker never heard of. */
  lastHeardOf(incarnation: string | null): number {
    return this.#heardAt.get(incarnation ?? '') ?? monotonicMs()
  }

  holds({ held, connected }: { held: number; connected: number }, waiting: number): void {
    leasesHeld.set(held)
    sessionsConnected.set(connected)
    socketOpensWaiting.set(waiting)
  }
}
