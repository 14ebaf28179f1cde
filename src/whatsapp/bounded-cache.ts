// A map that forgets the least recently used and the old: plain, because it is read several times for each message sent.

interface Entry<V> {
  value: V
  expiresAt: number
}

/** Has the methods Baileys asks of its caches (`del`, `flushAll`), answering at once. */
export class BoundedCache<V = unknown> {
  readonly #entries = new Map<string, Entry<V>>()
  readonly #maxCount: number
  readonly #ttlMs: number

  constructor(options: { maxCount: number; ttlMs?: number }) {
    this.#maxCount = options.maxCount
    this.#ttlMs = options.ttlMs ?? Infinity
  }

  get size(): number {
    return this.#entries.size
  }

  get<T = V>(key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    if (entry.expiresAt !== Infinity && entry.expiresAt <= performance.now()) {
      this.#entries.delete(key)
      return undefined
    }
    // While there is room nobody has to go, and who was used last does not matter.
    if (2 * this.#entries.size > this.#maxCount) {
      this.#entries.delete(key)
      this.#entries.set(key, entry)
    }
    return entry.value as unknown as T
  }

  set(key: string, value: unknown, ttlMs: number = this.#ttlMs): void {
    this.#entries.delete(key)
    this.#entries.set(key, { value: value as V, expiresAt: ttlMs === Infinity ? Infinity : performance.now() + ttlMs })
    if (this.#entries.size <= this.#maxCount) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      return
    }
  }

  del(key: string): void {
    this.#entries.delete(key)
  }

  flushAll(): void {
    this.#entries.clear()
  }
}
