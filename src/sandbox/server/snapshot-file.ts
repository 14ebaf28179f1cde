// The sandbox's memory over a restart: one JSON file, written whole and atomically, some time after the last change. A `kill -9` loses what came since.
import { readFileSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Log } from '../../platform/log.ts'
import type { SnapshotPart } from '../device.ts'

/** Raised whenever a part saves something else than before. */
const version = 1
const leastDelayMs = 300
/** Writing takes at most this part of the time, however much there is to write. */
const dutyFactor = 20
/** Longest piece of writing in one go. */
const sliceMs = 8

export class SnapshotFile {
  readonly #path: string | undefined
  readonly #log: Log
  readonly #parts: SnapshotPart[] = []
  readonly #saved: Record<string, unknown>
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #isStopped = false
  #lastTookMs = 0

  /** Without a path nothing is read or written. */
  constructor(path: string | undefined, log: Log) {
    this.#path = path
    this.#log = log
    this.#saved = path === undefined ? {} : this.#read(path)
  }

  keep(part: SnapshotPart): void {
    this.#parts.push(part)
    const saved = this.#saved[part.name]
    if (saved !== undefined) part.restore(saved)
  }

  changed(): void {
    if (this.#path === undefined || this.#timer || this.#isStopped) return
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#write()
      },
      Math.max(leastDelayMs, this.#lastTookMs * dutyFactor),
    )
  }

  /** Writes what has not been written yet. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#path !== undefined && !this.#isStopped) this.#write()
    this.#isStopped = true
    await this.#writing
  }

  /** A memory of another version is of no use: the sandbox begins anew. */
  #read(path: string): Record<string, unknown> {
    try {
      const saved = JSON.parse(readFileSync(path, 'utf8'), reviveBytes) as { version?: number; parts?: Record<string, unknown> }
      if (saved.version === version && saved.parts) return saved.parts
      this.#log.warn({ version: saved.version }, 'sandbox.snapshot_ignored')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    return {}
  }

  #write(): void {
    const path = this.#path
    if (path === undefined) return
    this.#writing = this.#writeAfter(this.#writing, path)
  }

  /** Never rejects: a sandbox that cannot write goes on without a memory. */
  async #writeAfter(former: Promise<void>, path: string): Promise<void> {
    await former
    try {
      const fields: string[] = []
      let tookMs = 0
      for (const part of this.#parts) {
        const written = await stringify(part.snapshot())
        fields.push(`${JSON.stringify(part.name)}:${written.text}`)
        tookMs += written.tookMs
      }
      const text = `{"version":${version},"parts":{${fields.join(',')}}}`
      this.#lastTookMs = tookMs
      await mkdir(dirname(path), { recursive: true })
      await writeFile(`${path}.tmp`, text, { mode: 0o600 })
      await rename(`${path}.tmp`, path)
    } catch (err) {
      this.#log.error({ err }, 'sandbox.snapshot_failed')
    }
  }
}

/** The values of an iterator are taken one by one, with pauses in which sockets are served. */
async function stringify(value: unknown): Promise<{ text: string; tookMs: number }> {
  let startedAt = performance.now()
  if (!(value instanceof Iterator)) {
    const text = JSON.stringify(plain(value))
    return { text, tookMs: performance.now() - startedAt }
  }
  const texts: string[] = []
  let tookMs = 0
  for (const each of value) {
    texts.push(JSON.stringify(plain(each)))
    const sinceMs = performance.now() - startedAt
    if (sinceMs < sliceMs) continue
    tookMs += sinceMs
    await new Promise((resolve) => setImmediate(resolve))
    startedAt = performance.now()
  }
  return { text: `[${texts.join(',')}]`, tookMs: tookMs + performance.now() - startedAt }
}

const marker = '$bytes'

/** Bytes become base64 before JSON sees them: a Buffer's own `toJSON` makes an array of numbers, which is dear. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) {
    return { [marker]: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
  }
  if (Array.isArray(value)) return value.map(plain)
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]))
}

function reviveBytes(_: string, value: unknown): unknown {
  const text = (value as Record<string, unknown> | null)?.[marker]
  return typeof text === 'string' ? Buffer.from(text, 'base64') : value
}
