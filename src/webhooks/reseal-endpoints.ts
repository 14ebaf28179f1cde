// Rotating the master key: what is sealed of endpoints is opened with the key it was sealed with and sealed with the current one.
import { hasCode } from '../platform/errors.ts'
import type { EndpointRecord, EndpointStore, SealedFields } from '../store/event-store.ts'
import { secretContext, type SecretBox } from './secret-box.ts'

interface ResealDeps {
  endpoints: Pick<EndpointStore, 'list' | 'reseal'>
  keyRing: SecretBox & { isCurrent(sealed: Uint8Array): boolean }
}

/**
 * One page. Safe to run beside everything else, to repeat and to break off; what somebody changes at that moment is left to the next
 * pass. Go on with `cursor` until it is null.
 */
export async function resealPage(
  { endpoints, keyRing }: ResealDeps,
  limit: number,
  cursor: string | null,
): Promise<{ resealed: number; unreadable: string[]; cursor: string | null }> {
  const page = await endpoints.list({ limit, ...(cursor === null ? {} : { cursor }) })
  const unreadable: string[] = []
  let resealed = 0
  for (const endpoint of page.data) {
    try {
      const to = resealedFields(keyRing, endpoint)
      if (to && (await endpoints.reseal(endpoint.id, endpoint, to))) resealed += 1
    } catch (error) {
      if (!hasCode(error, 'credentials_unreadable')) throw error
      unreadable.push(endpoint.id)
    }
  }
  return { resealed, unreadable, cursor: page.nextCursor }
}

/** Null when the current key has sealed all of it. */
function resealedFields(keyRing: ResealDeps['keyRing'], endpoint: EndpointRecord): SealedFields | null {
  const { id, sealedSecret, sealedHeaders, sealedPreviousSecret } = endpoint
  const all = [sealedSecret, sealedHeaders, sealedPreviousSecret]
  if (all.every((sealed) => sealed === null || keyRing.isCurrent(sealed))) return null
  const reseal = (field: 'secret' | 'headers', sealed: Uint8Array) => {
    const context = secretContext(id, field)
    return keyRing.seal(context, keyRing.open(context, sealed))
  }
  return {
    sealedSecret: reseal('secret', sealedSecret),
    sealedHeaders: sealedHeaders && reseal('headers', sealedHeaders),
    sealedPreviousSecret: sealedPreviousSecret && reseal('secret', sealedPreviousSecret),
  }
}
