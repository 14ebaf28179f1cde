// A webhook endpoint for all sessions, made over REST as an admin would.
import { ApiClient } from '../../support/api-client.ts'
import type { ProductFleet } from './product-fleet.ts'

export async function createFleetEndpoint({ apiUrl, adminKey }: ProductFleet, url: string): Promise<string> {
  const { id } = await new ApiClient(apiUrl, adminKey).call<{ id: string }>('POST', '/v1/webhooks', { url, events: ['*'] })
  return id
}
