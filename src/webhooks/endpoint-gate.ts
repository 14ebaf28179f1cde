// How many requests an endpoint may have in flight, so that a slow one cannot hold the pool; and which of those it cannot take come back when.
import { LRUCache } from 'lru-cache'

interface Place {
  startedAt: number
  turn: (() => void) | null
}

interface GateState {
  /** The oldest first. */
  inFlight: Set<Place>
  waiting: Place[]
  /** How long its requests take, a moving average. */
  averageMs: number
  /** The latest time given to a deferred job; the next one gets a later one. */
  lastDeferral: number
}

export interface GateSettings {
  /** Requests in flight per endpoint and process. */
  maxInFlight: number
  /** A job waits in the process when its turn is expected within this time; otherwise it goes back to the queue. */
  maxWaitMs: number
  /** Jobs of one endpoint that wait so, and of all together: the rest of the pool stays free for those that need not wait. */
  maxWaitingEach: number
  maxWaiting: number
}

export const gateDefaults: GateSettings = { maxInFlight: 10, maxWaitMs: 1_000, maxWaitingEach: 40, maxWaiting: 120 }
/** So much of an endpoint's work may stand in line as jobs: more of it stays in the store. */
export const maxLineMs = 5_000
const maxGates = 5_000
const firstGuessMs = 20

export class EndpointGates {
  private readonly settings: GateSettings
  private waiting = 0
  private readonly gates = new LRUCache<string, GateState>({ max: maxGates })

  constructor(settings: GateSettings = gateDefaults) {
    this.settings = settings
  }

  /**
   * Waits for the endpoint's turn and gives the function that ends it; or, when that would take too long, the time to come back at; or
   * null when the line of those that come back is full. A slow endpoint thus holds `maxInFlight` places of the pool and few more.
   */
  async enter(endpointId: string): Promise<(() => void) | number | null> {
    const gate = this.gate(endpointId)
    const place: Place = { startedAt: performance.now(), turn: null }
    if (gate.inFlight.size < this.settings.maxInFlight) {
      gate.inFlight.add(place)
    } else {
      const stepMs = this.expectedMs(gate) / this.settings.maxInFlight
      if (!this.mayWait(gate, stepMs)) return standInLine(gate, Date.now() + this.settings.maxWaitMs, stepMs)
      this.waiting += 1
      await new Promise<void>((turn) => {
        place.turn = turn
        gate.waiting.push(place)
      })
      this.waiting -= 1
    }
    return () => this.leave(gate, place)
  }

  /** Hands the place over to the next that waits, in the same tick, so that nobody slips in between. */
  private leave(gate: GateState, place: Place): void {
    const now = performance.now()
    gate.averageMs += (now - place.startedAt - gate.averageMs) / 8
    gate.inFlight.delete(place)
    const next = gate.waiting.shift()
    if (!next) return
    next.startedAt = now
    gate.inFlight.add(next)
    next.turn?.()
  }

  private mayWait(gate: GateState, stepMs: number): boolean {
    const { maxWaiting, maxWaitingEach, maxWaitMs } = this.settings
    const ahead = gate.waiting.length
    return this.waiting < maxWaiting && ahead < maxWaitingEach && (ahead + 1) * stepMs <= maxWaitMs
  }

  /** An endpoint that has begun to hang shows it before its first request has ended. */
  private expectedMs(gate: GateState): number {
    const [oldest] = gate.inFlight
    return Math.max(gate.averageMs, oldest ? performance.now() - oldest.startedAt : 0)
  }

  private gate(endpointId: string): GateState {
    let gate = this.gates.get(endpointId)
    if (!gate) {
      gate = { inFlight: new Set(), waiting: [], averageMs: firstGuessMs, lastDeferral: 0 }
      this.gates.set(endpointId, gate)
    }
    return gate
  }
}

/** Times for jobs that must come back, none before `notBefore`, `stepMs` apart: they shall not all come at once. */
function standInLine(gate: GateState, notBefore: number, stepMs: number): number | null {
  const next = Math.max(gate.lastDeferral + Math.ceil(stepMs), notBefore)
  if (next - notBefore > maxLineMs) return null
  gate.lastDeferral = next
  return next
}
