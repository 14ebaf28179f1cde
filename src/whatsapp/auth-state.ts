// Baileys' authentication state over the vault: what it reads comes from the session's caches, what it writes is durable when it says so.
import { BufferJSON, initAuthCreds, proto, type AuthenticationCreds, type AuthenticationState } from '@whiskeysockets/baileys'
import { KeyWriter, type KeyWrite } from './key-writer.ts'
import type { SessionCaches } from './session-caches.ts'
import type { SessionCredentials } from './whatsapp-client.ts'

type KeyStore = AuthenticationState['keys']

interface AuthStateDeps {
  credentials: SessionCredentials
  caches: SessionCaches
  /** The store refused or failed: what Baileys believes is no longer what is stored. Called once. */
  onWriteFailed(error: unknown): void
}

export interface AuthState {
  readonly state: AuthenticationState
  readonly isPaired: boolean
  /** Creds changed; written with whatever else is written next, and never before the pairing is complete. */
  credsChanged(): void
  /** Everything written so far is stored. @throws what the store threw */
  flush(): Promise<void>
  /** Refuses every write from now on: a socket that lives on in the background must not touch the next one's keys. */
  seal(): void
}

/** Single-use, like the socket. @throws AppError of the vault (`credentials_unreadable`, `store_unavailable`, `stale_epoch`) */
export async function openAuthState(deps: AuthStateDeps): Promise<AuthState> {
  await deps.caches.writing
  const creds = (await readPairedCreds(deps.credentials)) ?? initAuthCreds()
  const writer = new KeyWriter({
    write: (entries) => {
      const written = deps.credentials.write(entries)
      deps.caches.writing = written.catch(() => undefined)
      return written
    },
    encodeCreds: () => encode(creds),
    onFailed: (error) => {
      deps.caches.forgetKeys()
      deps.onWriteFailed(error)
    },
    onDropped: () => deps.caches.forgetKeys(),
  })
  const keys = createKeyStore(deps, writer)
  return {
    state: { creds, keys },
    get isPaired() {
      return isPaired(creds)
    },
    credsChanged: () => {
      // A code that was asked for and never typed leaves `me` behind, which would be taken for a login at the next start.
      if (isPaired(creds)) writer.credsChanged()
    },
    flush: () => writer.flush(),
    seal: () => writer.seal(),
  }
}

function isPaired(creds: AuthenticationCreds): boolean {
  return creds.account !== undefined && creds.me !== undefined
}

/** Null when there are none, or only a half-made pairing, which is erased. `creds.registered` tells nothing: it stays false after a QR. */
async function readPairedCreds(credentials: SessionCredentials): Promise<AuthenticationCreds | null> {
  const bytes = await credentials.readCreds()
  if (!bytes) return null
  const creds = decode(bytes) as AuthenticationCreds
  if (isPaired(creds)) return creds
  await credentials.erase()
  return null
}

function createKeyStore(deps: AuthStateDeps, writer: KeyWriter): KeyStore {
  const { caches, credentials } = deps
  return {
    async get(type, ids) {
      const found: Record<string, never> = {}
      const missing: string[] = []
      const cache = type === 'session' ? caches.signalSessions : caches.keys
      for (const id of ids) {
        const value = writer.pendingValue(type, id) ?? cache.get(`${type}.${id}`)
        if (value === undefined) missing.push(id)
        else if (value !== null) found[id] = share(value) as never
      }
      if (missing.length === 0) return found
      const read = await credentials.readKeys(type, missing)
      for (const id of missing) {
        const bytes = read.get(id)
        const value = bytes ? revive(type, decode(bytes, type)) : null
        // One-time prekeys are read once. A write that came while we were reading is newer than what was read.
        if (type !== 'pre-key' && cache.get(`${type}.${id}`) === undefined) cache.set(`${type}.${id}`, value)
        if (value !== null) found[id] = share(value) as never
      }
      return found
    },
    async set(data) {
      writer.assertOpen()
      const entries: KeyWrite[] = []
      for (const [type, values] of Object.entries(data)) {
        const cache = type === 'session' ? caches.signalSessions : caches.keys
        for (const [id, value] of Object.entries(values ?? {})) {
          const plain = value ?? null
          entries.push({ type, id, value: plain === null ? null : encode(plain, type), plain })
          if (type !== 'pre-key') cache.set(`${type}.${id}`, plain)
        }
      }
      await writer.write(entries)
    },
  }
}

/** Arrays are changed in place by Baileys (device lists): hand out a copy. */
function share(value: unknown): unknown {
  return Array.isArray(value) ? value.slice() : value
}

function revive(type: string, value: unknown): unknown {
  if (type !== 'app-state-sync-key') return value
  return proto.Message.AppStateSyncKeyData.fromObject(value as Record<string, unknown>)
}

/** Signal sessions are plain JSON already; the replacer would cost more than the rest of the write. */
function encode(value: unknown, type?: string): Uint8Array {
  const isPlain = type === 'session' && !(value instanceof Uint8Array)
  return Buffer.from(isPlain ? JSON.stringify(value) : JSON.stringify(value, BufferJSON.replacer))
}

function decode(bytes: Uint8Array, type?: string): unknown {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  const value: unknown = JSON.parse(text, type === 'session' ? undefined : BufferJSON.reviver)
  const isBuffer = type === 'session' && typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer'
  return isBuffer ? JSON.parse(text, BufferJSON.reviver) : value
}
