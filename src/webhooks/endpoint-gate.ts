// How many requests an endpoint may have in flight, so that a slow one cannot hold the pool; and when what it cannot take comes back.
import { LRUCache } from 'lru-cache'

interface GateState {
  inFlight: number
  waiting: (() => void)[]
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
  /** Jobs that wait so, of all endpoints together: the rest of the pool stays free for those that need not wait. */
  maxWaiting: number
}

export const gateDefaults: GateSettings = { maxInFlight: 10, maxWaitMs: 1_000, maxWaiting: 120 }
const maxDeferralMs = 15_000
const maxGates = 5_000

export class EndpointGates {
  private readonly settings: GateSettings
  private waiting = 0
  private readonly gates = new LRUCache<string, GateState>({ max: maxGates })

  constructor(settings: GateSettings = gateDefaults) {
    this.settings = settings
  }

  /**
   * Waits for the endpoint's turn and gives the function that ends it; or, when that would take too long, the time to come back at.
   * A slow endpoint thus holds `maxInFlight` places of the pool and few more.
   */
  async enter(endpointId: string): Promise<(() => void) | number> {
    const gate = this.gate(endpointId)
    if (gate.inFlight < this.settings.maxInFlight) {
      gate.inFlight += 1
    } else {
      const stepMs = gate.averageMs / this.settings.maxInFlight
      if (this.waiting >= this.settings.maxWaiting || (gate.waiting.length + 1) * stepMs > this.settings.maxWaitMs) {
        return this.defer(endpointId, Date.now() + this.settings.maxWaitMs, stepMs)
      }
      this.waiting += 1
      await new Promise<void>((turn) => gate.waiting.push(turn)) // the one that leaves hands its place over
      this.waiting -= 1
    }
    const startedAt = performance.now()
    return () => {
      gate.averageMs += (performance.now() - startedAt - gate.averageMs) / 8
      const next = gate.waiting.shift()
      if (next) next()
      else gate.inFlight -= 1
    }
  }

  /** Times for jobs that must come back, none before `notBefore`, `stepMs` apart: they shall not all come at once. */
  defer(endpointId: string, notBefore: number, stepMs: number): number {
    const gate = this.gate(endpointId)
    const next = Math.max(gate.lastDeferral + Math.ceil(stepMs), notBefore)
    if (next - notBefore > maxDeferralMs) return Math.round(notBefore + Math.random() * maxDeferralMs)
    gate.lastDeferral = next
    return next
  }

  private gate(endpointId: string): GateState {
    let gate = this.gates.get(endpointId)
    if (!gate) {
      gate = { inFlight: 0, waiting: [], averageMs: 20, lastDeferral: 0 }
      this.gates.set(endpointId, gate)
    }
    return gate
  }
}
