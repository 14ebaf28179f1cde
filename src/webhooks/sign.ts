// Standard Webhooks signatures: HMAC-SHA256 over `id.timestamp.body`, and the secrets they are made with.
import { createHmac, randomBytes } from 'node:crypto'

const secretPrefix = 'whsec_'

/** `whsec_` and 32 random bytes in base64. */
export function newWebhookSecret(): string {
  return secretPrefix + randomBytes(32).toString('base64')
}

/** The HMAC key inside a `whsec_…` secret; decode it once, sign often. */
export function signingKey(secret: string): Buffer {
  return Buffer.from(secret.startsWith(secretPrefix) ? secret.slice(secretPrefix.length) : secret, 'base64')
}

interface SignInput {
  /** The newest first; during rotation two, and receivers accept either signature. */
  keys: readonly Uint8Array[]
  /** The event's id. */
  id: string
  timestampSeconds: number
  body: string
}

/** The value of `webhook-signature`: `v1,<base64>` for each key, separated by spaces. */
export function signWebhook(input: SignInput): string {
  const signed = `${input.id}.${input.timestampSeconds}.${input.body}`
  return input.keys.map((key) => `v1,${createHmac('sha256', key).update(signed).digest('base64')}`).join(' ')
}
