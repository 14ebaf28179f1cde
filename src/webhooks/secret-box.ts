// How endpoint secrets and header values are sealed for the store; the key ring of the store fits this shape.

export interface SecretBox {
  /** `context` is authenticated, not stored: the same one must be given to open it. */
  seal(context: string, plain: Uint8Array): Uint8Array
  /** @throws AppError `credentials_unreadable` when no known master key opens it. */
  open(context: string, sealed: Uint8Array): Buffer
}

/** A sealed value moved to another endpoint or another field does not open there. */
export function secretContext(endpointId: string, field: 'secret' | 'headers'): string {
  return `endpoint|${endpointId}|${field}`
}
