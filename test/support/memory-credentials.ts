// Credentials of one session in memory: the other side of the port, with an epoch that can be made stale and writes that can be watched.
import { AppError } from '../../src/platform/errors.ts'
import type { SessionCredentials } from '../../src/whatsapp/whatsapp-client.ts'

type Writes = Parameters<SessionCredentials['write']>[0]

export class MemoryCredentials implements SessionCredentials {
  readonly entries = new Map<string, Uint8Array>()
  readonly writes: Writes[] = []
  eraseCount = 0
  readCount = 0
  isStale = false
  /** Awaited before each write lands. */
  beforeWrite: (entries: Writes) => Promise<void> | void = () => undefined

  readCreds(): Promise<Uint8Array | null> {
    return Promise.resolve(this.entries.get('creds.') ?? null)
  }

  readKeys(type: string, ids: string[]): Promise<Map<string, Uint8Array>> {
    this.readCount += 1
    const found = new Map<string, Uint8Array>()
    for (const id of ids) {
      const value = this.entries.get(`${type}.${id}`)
      if (value) found.set(id, value)
    }
    return Promise.resolve(found)
  }

  async write(entries: Writes): Promise<void> {
    await this.beforeWrite(entries)
    if (this.isStale) throw new AppError('stale_epoch')
    this.writes.push(entries)
    for (const { type, id, value } of entries) {
      if (value) this.entries.set(`${type}.${id}`, value)
      else this.entries.delete(`${type}.${id}`)
    }
  }

  erase(): Promise<void> {
    this.eraseCount += 1
    this.entries.clear()
    return Promise.resolve()
  }

  /** A copy as it stands: what a process that died now would leave behind. */
  snapshot(): MemoryCredentials {
    const copy = new MemoryCredentials()
    for (const [key, value] of this.entries) copy.entries.set(key, value)
    return copy
  }
}
