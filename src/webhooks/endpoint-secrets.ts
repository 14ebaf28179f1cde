// What is secret about an endpoint — signing keys and header values — sealed for the store and opened for a delivery.
import type { EndpointRecord } from '../store/event-store.ts'
import { secretContext, type SecretBox } from './secret-box.ts'
import { signingKey } from './sign.ts'

/** One, or those before it that are still good, a line each. */
export function sealSecret(box: SecretBox, endpointId: string, ...secrets: string[]): Uint8Array {
  return box.seal(secretContext(endpointId, 'secret'), Buffer.from(secrets.join('\n')))
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
  const sealed = [endpoint.sealedSecret]
  if (endpoint.sealedPreviousSecret && (endpoint.previousSecretUntil ?? 0) > now) sealed.push(endpoint.sealedPreviousSecret)
  const context = secretContext(endpoint.id, 'secret')
  return sealed.flatMap((bytes) => box.open(context, bytes).toString().split('\n'))
}
