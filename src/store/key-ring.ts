// The master keys: where they come from, which one is current, and sealing small secrets with them.
import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Config } from '../platform/config.ts'
import { seal, sha256Hex, unseal } from '../platform/crypto.ts'
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'

const keyBytes = 32
/** A key file is looked at again after this, and at once when a key is asked for that is not known. */
const recheckMs = 1_000
const format = 1

type KeySource = Pick<Config, 'credentialsKey' | 'credentialsKeyFile' | 'embeddedCredentialsKeyPath'>

/**
 * Opens the master keys: the file of UJUMBE_CREDENTIALS_KEY_FILE, or UJUMBE_CREDENTIALS_KEY, or a file in the data directory
 * that the first process makes.
 * @throws AppError `configuration` naming the file and the line, never the key
 */
export function createKeyRing(source: KeySource, log: Log): KeyRing {
  if (source.credentialsKeyFile) return new KeyRing(source.credentialsKeyFile, log)
  if (source.credentialsKey) return new KeyRing([Buffer.from(source.credentialsKey, 'base64')], log)
  makeKeyFileOnce(source.embeddedCredentialsKeyPath)
  return new KeyRing(source.embeddedCredentialsKeyPath, log)
}

export class KeyRing {
  readonly #path: string | undefined
  readonly #log: Log
  #keys: Map<string, Buffer>
  #currentId: string
  #checkedAt = 0
  #fileState = ''

  /** Keys, the current one first, or the path of a file that holds them. */
  constructor(source: Buffer[] | string, log: Log) {
    this.#log = log
    this.#path = typeof source === 'string' ? source : undefined
    if (this.#path !== undefined) {
      this.#fileState = fileState(this.#path)
      this.#checkedAt = performance.now()
    }
    const keys = typeof source === 'string' ? readKeyFile(source) : source
    this.#keys = byId(keys)
    this.#currentId = keyId(keys[0] as Buffer)
  }

  /** A short hash of the key that seals from now on. */
  get currentId(): string {
    this.#recheck(false)
    return this.#currentId
  }

  /** format (1) | key id (8) | nonce, tag, ciphertext. The same `context` must be given to open it. */
  seal(context: string, plain: Uint8Array): Uint8Array {
    const id = this.currentId
    return Buffer.concat([Buffer.from([format]), Buffer.from(id, 'hex'), seal(this.#key(id), plain, context)])
  }

  /** @throws AppError `credentials_unreadable` */
  open(context: string, sealed: Uint8Array): Buffer {
    const id = Buffer.from(sealed.subarray(1, 9)).toString('hex')
    if (sealed[0] !== format || sealed.byteLength < 9 + 28) throw new AppError('credentials_unreadable')
    return this.unsealWith(id, context, sealed.subarray(9))
  }

  knows(keyId: string): boolean {
    this.#recheck(false)
    return this.#keys.has(keyId)
  }

  /** Sealed with the current key. */
  isCurrent(sealed: Uint8Array): boolean {
    return sealed[0] === format && Buffer.from(sealed.subarray(1, 9)).toString('hex') === this.currentId
  }

  /** Whether the key that sealed it is there. */
  canOpen(sealed: Uint8Array): boolean {
    return sealed[0] === format && this.knows(Buffer.from(sealed.subarray(1, 9)).toString('hex'))
  }

  /** For callers that keep the key id beside the bytes. */
  sealWithCurrent(context: string, plain: Uint8Array): { keyId: string; sealed: Uint8Array } {
    const id = this.currentId
    return { keyId: id, sealed: seal(this.#key(id), plain, context) }
  }

  /** @throws AppError `credentials_unreadable` */
  unsealWith(id: string, context: string, sealed: Uint8Array): Buffer {
    try {
      return unseal(this.#key(id), sealed, context)
    } catch (cause) {
      throw cause instanceof AppError ? cause : new AppError('credentials_unreadable', undefined, { cause })
    }
  }

  #key(id: string): Buffer {
    if (!this.#keys.has(id)) this.#recheck(true)
    const key = this.#keys.get(id)
    if (!key)
      throw new AppError('credentials_unreadable', `No master key with the id ${id} is known. Restore it; nothing is erased.`)
    return key
  }

  #recheck(now: boolean): void {
    const path = this.#path
    if (path === undefined || (!now && performance.now() - this.#checkedAt < recheckMs)) return
    this.#checkedAt = performance.now()
    try {
      const state = fileState(path)
      if (state === this.#fileState) return
      const keys = readKeyFile(path)
      this.#fileState = state
      this.#keys = byId(keys)
      this.#currentId = keyId(keys[0] as Buffer)
      this.#log.info({ count: keys.length, currentId: this.#currentId }, 'master_keys.reread')
    } catch (err) {
      // Half written, or gone for a moment: the keys in memory stay good.
      this.#log.warn({ err }, 'master_keys.reread_failed')
    }
  }
}

function keyId(key: Buffer): string {
  return sha256Hex(Buffer.concat([Buffer.from('ujumbe master key id'), key])).slice(0, 16)
}

function byId(keys: Buffer[]): Map<string, Buffer> {
  return new Map(keys.map((key) => [keyId(key), key]))
}

function fileState(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path)
    return `${ino} ${size} ${mtimeMs}`
  } catch (cause) {
    throw new AppError('configuration', `The key file ${path} cannot be read.`, { cause })
  }
}

/** @throws AppError `configuration` */
export function readKeyFile(path: string): Buffer[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new AppError('configuration', `The key file ${path} cannot be read.`, { cause })
  }
  const keys = text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return []
    const key = Buffer.from(line.trim(), 'base64')
    if (key.length !== keyBytes || key.toString('base64').replace(/=+$/, '') !== line.trim().replace(/=+$/, '')) {
      throw new AppError('configuration', `Line ${i + 1} of the key file ${path} is not ${keyBytes} bytes in base64.`)
    }
    return [key]
  })
  if (keys.length === 0) throw new AppError('configuration', `The key file ${path} holds no key.`)
  return keys
}

/** Written whole under another name and then linked: whoever sees the file sees a key, and only one process's file wins. */
function makeKeyFileOnce(path: string): void {
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    if (statSync(path, { throwIfNoEntry: false })) return
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const fd = openSync(draft, 'wx', 0o600)
    try {
      writeSync(fd, `${randomBytes(keyBytes).toString('base64')}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    linkSync(draft, path)
    flushDirectory(dirname(path))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return
    throw new AppError('configuration', `The master key cannot be kept at ${path}: ${(cause as Error).message}`, { cause })
  } finally {
    rmSync(draft, { force: true })
  }
}

export function flushDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
