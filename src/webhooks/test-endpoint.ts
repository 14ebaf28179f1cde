// A test of an endpoint: one signed request at once, outside the log and the queues, and what came back.
import { LRUCache } from 'lru-cache'
import type { Agent } from 'undici'
import { isoTime } from '../platform/clock.ts'
import { AppError } from '../platform/errors.ts'
import { newId } from '../platform/id.ts'
import type { EndpointRecord } from '../store/event-store.ts'
import { answerTimeoutMs, signedHeaders } from './deliver-event.ts'
import type { EndpointView } from './endpoint-view.ts'
import { createGuardedAgent } from './guarded-agent.ts'
import type { GuardPolicy } from './guard-url.ts'
import { isSuccess, postWebhook } from './post-webhook.ts'
import { openEndpoint } from './ready-endpoints.ts'
import type { SecretBox } from './secret-box.ts'

export interface TestResult {
  eventId: string
  succeeded: boolean
  at: string
  /** HTTP status; null when no answer came. */
  status: number | null
  durationMs: number
  error: string | null
  answer: string | null
}

const windowMs = 60_000
const testsPerWindow = 10
const maxInFlight = 20

export class EndpointTester {
  private readonly secretBox: SecretBox
  private readonly agent: Agent
  private readonly recent = new LRUCache<string, number>({ max: 5_000, ttl: windowMs, noUpdateTTL: true })
  private inFlight = 0

  constructor(deps: { secretBox: SecretBox; guardPolicy: GuardPolicy }) {
    this.secretBox = deps.secretBox
    this.agent = createGuardedAgent(deps.guardPolicy)
  }

  /**
   * Breakers neither hold it up nor hear of it. Receivers know the event by its type, which no delivery has; it holds `view`.
   * @throws AppError `too_many_requests`, `credentials_unreadable`, `shutting_down`
   */
  async test(endpoint: EndpointRecord, view: EndpointView): Promise<TestResult> {
    const count = this.recent.get(endpoint.id) ?? 0
    if (count >= testsPerWindow || this.inFlight >= maxInFlight) {
      throw new AppError('too_many_requests', undefined, { retryAfterSeconds: windowMs / 1_000 })
    }
    this.recent.set(endpoint.id, count + 1)
    const ready = openEndpoint(this.secretBox, endpoint)
    const id = newId('evt')
    const body = JSON.stringify({
      id,
      type: 'webhook.test',
      timestamp: isoTime(Date.now()),
      sessionId: endpoint.sessionId,
      sequence: 0,
      data: { endpoint: view },
    })
    this.inFlight += 1
    try {
      const request = { url: ready.url, headers: signedHeaders(ready, id, body), body }
      const result = await postWebhook(this.agent, request, answerTimeoutMs)
      const { at, status, durationMs, error, answer } = result
      return { eventId: id, succeeded: isSuccess(result), at: isoTime(at), status, durationMs, error, answer }
    } finally {
      this.inFlight -= 1
    }
  }

  async close(): Promise<void> {
    await this.agent.destroy()
  }
}
