// The sandbox's memory over a restart: one JSON file, written whole and atomically, some time after the last change.
import { readFileSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Log } from '../../platform/log.ts'
import type { SnapshotPart } from '../device.ts'

const debounceMs = 300

export class SnapshotFile {
  readonly #path: string | undefined
  readonly #log: Log
  readonly #parts: SnapshotPart[] = []
  readonly #saved: Record<string, unknown>
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #isStopped = false

  /** Without a path nothing is read or written. */
  constructor(path: string | undefined, log: Log) {
    this.#path = path
    this.#log = log
    this.#saved = path === undefined ? {} : read(path)
  }

  keep(part: SnapshotPart): void {
    this.#parts.push(part)
    const saved = this.#saved[part.name]
    if (saved !== undefined) part.restore(saved)
  }

  changed(): void {
    if (this.#path === undefined || this.#timer || this.#isStopped) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#write()
    }, debounceMs)
  }

  /** Writes what has not been written yet. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#path !== undefined && !this.#isStopped) this.#write()
    this.#isStopped = true
    await this.#writing
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
      const parts = Object.fromEntries(this.#parts.map((part) => [part.name, part.snapshot()]))
      await mkdir(dirname(path), { recursive: true })
      await writeFile(`${path}.tmp`, JSON.stringify(parts, replaceBytes), { mode: 0o600 })
      await rename(`${path}.tmp`, path)
    } catch (err) {
      this.#log.error({ err }, 'sandbox.snapshot_failed')
    }
  }
}

function read(path: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(path, 'utf8'), reviveBytes) as Record<string, unknown>
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}

const marker = '$bytes'

/** A Buffer has become its `toJSON` form by the time a replacer sees it; another Uint8Array has not. */
function replaceBytes(_: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return { [marker]: Buffer.from(value).toString('base64') }
  const json = value as { type?: unknown; data?: unknown } | null
  if (json?.type === 'Buffer' && Array.isArray(json.data)) return { [marker]: Buffer.from(json.data).toString('base64') }
  return value
}

function reviveBytes(_: string, value: unknown): unknown {
  const text = (value as Record<string, unknown> | null)?.[marker]
  return typeof text === 'string' ? Buffer.from(text, 'base64') : value
}
