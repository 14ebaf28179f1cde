// Endpoints ready to deliver to — secrets opened, address parsed — read from the store at most once a second each.
import { LRUCache } from 'lru-cache'
import type { EndpointRecord, EndpointStore } from '../store/event-store.ts'
import { openHeaders, openSigningKeys } from './endpoint-secrets.ts'
import type { SecretBox } from './secret-box.ts'

export interface ReadyEndpoint {
  record: EndpointRecord
  url: URL
  headers: Record<string, string>
  /** The newest first. */
  signingKeys: Buffer[]
}

const freshMs = 1_000
const maxEndpoints = 5_000

export class ReadyEndpoints {
  private readonly endpoints: Pick<EndpointStore, 'get'>
  private readonly secretBox: SecretBox
  private readonly cache = new LRUCache<string, Promise<ReadyEndpoint | null>>({ max: maxEndpoints, ttl: freshMs })

  constructor(deps: { endpoints: Pick<EndpointStore, 'get'>; secretBox: SecretBox }) {
    this.endpoints = deps.endpoints
    this.secretBox = deps.secretBox
  }

  /** Null when it is gone. @throws AppError `credentials_unreadable`, `store_unavailable` */
  async get(endpointId: string): Promise<ReadyEndpoint | null> {
    const cached = this.cache.get(endpointId)
    if (cached) return cached
    const reading = this.read(endpointId)
    this.cache.set(endpointId, reading)
    reading.catch(() => this.cache.delete(endpointId))
    return reading
  }

  /** After a change of ours, so that the next delivery sees it. */
  forget(endpointId: string): void {
    this.cache.delete(endpointId)
  }

  private async read(endpointId: string): Promise<ReadyEndpoint | null> {
    const record = await this.endpoints.get(endpointId)
    return record && openEndpoint(this.secretBox, record)
  }
}

/** @throws AppError `credentials_unreadable` */
export function openEndpoint(secretBox: SecretBox, record: EndpointRecord): ReadyEndpoint {
  return {
    record,
    url: new URL(record.url),
    headers: openHeaders(secretBox, record),
    signingKeys: openSigningKeys(secretBox, record, Date.now()),
  }
}
