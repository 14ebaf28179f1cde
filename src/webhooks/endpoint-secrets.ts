// What is secret about an endpoint — signing keys and header values — sealed for the store and opened for a delivery.
import type { EndpointRecord } from '../store/event-store.ts'
import { secretContext, type SecretBox } from './secret-box.ts'
import { signingKey } from './sign.ts'

/** A secret that was rotated away, and until when it goes on signing. */
export interface FormerSecret {
  secret: string
  until: number
}

export function sealSecret(box: SecretBox, endpointId: string, secret: string): Uint8Array {
  return box.seal(secretContext(endpointId, 'secret'), Buffer.from(secret))
}

/** A line each, the newest first; its end after the secret, where a version that knows of none does not look. */
export function sealFormerSecrets(box: SecretBox, endpointId: string, former: readonly FormerSecret[]): Uint8Array {
  return sealSecret(box, endpointId, former.map(({ secret, until }) => `${secret} ${until}`).join('\n'))
}

/** Null when there are none. */
export function sealHeaders(box: SecretBox, endpointId: string, headers: Readonly<Record<string, string>>): Uint8Array | null {
  if (Object.keys(headers).length === 0) return null
  return box.seal(secretContext(endpointId, 'headers'), Buffer.from(JSON.stringify(headers)))
}

/** @throws AppError `credentials_unreadable` */
export function openHeaders(box: SecretBox, endpoint: EndpointRecord): Record<string, string> {
  if (!endpoint.sealedHeaders) return {}
  const plain = box.open(secretContext(endpoint.id, 'headers'), endpoint.sealedHeaders).toString()
  return JSON.parse(plain) as Record<string, string>
}

/**
 * The keys to sign with at `now`, the newest first; two during a rotation.
 * @throws AppError `credentials_unreadable`
 */
export function openSigningKeys(box: SecretBox, endpoint: EndpointRecord, now: number): Buffer[] {
  return openSecrets(box, endpoint, now).map(signingKey)
}

/** The same as text. @throws AppError `credentials_unreadable` */
export function openSecrets(box: SecretBox, endpoint: EndpointRecord, now: number): string[] {
  const current = box.open(secretContext(endpoint.id, 'secret'), endpoint.sealedSecret).toString()
  return [current, ...openFormerSecrets(box, endpoint, now).map(({ secret }) => secret)]
}

/** Those that still sign at `now`. @throws AppError `credentials_unreadable` */
export function openFormerSecrets(box: SecretBox, endpoint: EndpointRecord, now: number): FormerSecret[] {
  const end = endpoint.previousSecretUntil ?? 0
  if (!endpoint.sealedPreviousSecret || end <= now) return []
  const lines = box.open(secretContext(endpoint.id, 'secret'), endpoint.sealedPreviousSecret).toString().split('\n')
  const former = lines.map((line) => {
    const [secret = '', until] = line.split(' ')
    return { secret, until: until === undefined ? end : Number(until) } // those of an older version have one end together
  })
  return former.filter(({ until }) => until > now)
}
