// API keys as the store keeps them: a hash and a public prefix, never the key.

export const scopes = ['read', 'send', 'manage'] as const
export type Scope = (typeof scopes)[number]

export interface KeyRecord {
  id: string
  sessionId: string
  /** SHA-256 of the whole key, hex. */
  hash: string
  /** The first characters, to recognise it by. */
  prefix: string
  scopes: Scope[]
  expiresAt: number | null
  createdAt: number
}

export interface KeyStore {
  create(record: KeyRecord): Promise<void>
  /** Null also when its session is deleted. Expired ones are returned: the caller decides. */
  findByHash(hash: string): Promise<KeyRecord | null>
  list(query: { sessionId: string; limit: number; cursor?: string }): Promise<{ data: KeyRecord[]; nextCursor: string | null }>
  /** Same id and scopes, new secret. */
  rotate(sessionId: string, id: string, next: { hash: string; prefix: string }): Promise<KeyRecord | null>
  remove(sessionId: string, id: string): Promise<boolean>
}
