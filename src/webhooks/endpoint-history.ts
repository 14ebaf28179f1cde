// Keeps an endpoint's own record up to date with how its deliveries go, and disables one that is gone or long since broken.
import { LRUCache } from 'lru-cache'
import type { EndpointRecord, EndpointStore } from '../store/event-store.ts'
import { failingLimitMs, quietMs } from './endpoint.ts'
import type { EndpointBreakers } from './endpoint-breaker.ts'
import { endpointView } from './endpoint-view.ts'
import { announceEvents, type AnnounceDeps } from './publish-event.ts'

interface HistoryDeps extends AnnounceDeps {
  endpoints: Pick<EndpointStore, 'update' | 'disable'>
  readyEndpoints: { forget(endpointId: string): void }
  breakers: Pick<EndpointBreakers, 'view' | 'switchOff'>
}

/** `lastSuccessAt` is at most so old; one write for each delivery would double what a delivery costs. */
const successEveryMs = 60_000
/** And `failedAt`. */
const failureEveryMs = 3_600_000

export class EndpointHistory {
  private readonly deps: HistoryDeps
  private readonly noted = new LRUCache<string, true>({ max: 5_000, ttl: successEveryMs })

  constructor(deps: HistoryDeps) {
    this.deps = deps
  }

  async succeeded(endpoint: EndpointRecord, at: number): Promise<void> {
    if (endpoint.failingSince === null && this.noted.has(endpoint.id)) return
    this.noted.set(endpoint.id, true)
    await this.deps.endpoints.update(endpoint.id, { lastSuccessAt: at, failingSince: null })
    if (endpoint.failingSince !== null) this.deps.readyEndpoints.forget(endpoint.id)
  }

  async failed(endpoint: EndpointRecord, sessionId: string, at: number): Promise<void> {
    const { id, failingSince } = endpoint
    const failedAt = endpoint.failedAt ?? failingSince ?? 0
    if (failingSince === null || at - failedAt > quietMs) {
      this.noted.delete(id)
      await this.deps.endpoints.update(id, { failingSince: at, failedAt: at })
      this.deps.readyEndpoints.forget(id)
    } else if (at - failingSince >= failingLimitMs) {
      await this.disable(id, sessionId, 'failing_for_5_days', at)
    } else if (at - failedAt > failureEveryMs) {
      await this.deps.endpoints.update(id, { failedAt: at })
      this.deps.readyEndpoints.forget(id)
    }
  }

  /** Once; `webhook.disabled` tells the others that hear of that session. */
  async disable(endpointId: string, sessionId: string, reason: string, at: number): Promise<void> {
    const breaker = await this.deps.breakers.view(endpointId)
    const outcome = await this.deps.endpoints.disable(endpointId, { reason, at, sessionId }, (after) => [
      { type: 'webhook.disabled', data: { endpoint: endpointView(after, breaker) } },
    ])
    this.deps.readyEndpoints.forget(endpointId)
    if (!outcome) return
    await this.deps.breakers.switchOff(endpointId)
    this.deps.log.warn({ endpointId, reason }, 'webhook.disabled')
    announceEvents(this.deps, outcome.published)
  }
}
