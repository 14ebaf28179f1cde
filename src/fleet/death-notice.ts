// Proof of death between processes of one machine: a unix socket that only the kernel closes. Refused means dead; nothing else does.
import { createHash, randomBytes } from 'node:crypto'
import { lstat, mkdir, readdir, readFile, unlink } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { WorkerView } from '../sessions/worker-heartbeat.ts'

const fileName = /[0-9a-f]{16}\.sock$/
/** Machines that share a data directory refuse on each other's sockets: one that has been there for less may be about to tell of itself. */
const leftoverMs = 600_000
/** Looked at in one start. */
const mostLeftovers = 1_000
/** `sun_path` holds 108 bytes with its end. */
const longestPath = 107

/** The kernel's boot id; a random one where there is none, so that nothing is ever proved there. */
export async function readBootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  } catch {
    return randomBytes(16).toString('hex')
  }
}

/** Listens for as long as this process lives: nothing in it closes the listener. To be called before the first heartbeat. */
export async function listenUntilDeath(dataDir: string): Promise<string> {
  const path = await socketPath(dataDir)
  const server = createServer((neighbour) => {
    neighbour.on('error', () => neighbour.destroy())
    neighbour.resume()
    neighbour.unref()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path, backlog: 511 }, resolve)
  })
  server.unref()
  listeners.add(server)
  return path
}

/** A server that is collected as garbage would look like a death. */
const listeners = new Set<Server>()

/**
 * Sockets of former processes beside this one's: they refuse, as the dead do. Those in a heartbeat still have to prove a death; the others
 * may be removed. To be called before the heartbeats are read, so that whoever is found dead has none that is not among them.
 */
export async function findLeftovers(ownSocket: string): Promise<string[]> {
  const dir = dirname(ownSocket)
  const ours = new RegExp(`^${RegExp.escape(basename(ownSocket).replace(fileName, ''))}${fileName.source}`)
  const names = await readdir(dir).catch(() => [])
  const found: string[] = []
  for (const name of names.filter((each) => ours.test(each)).slice(0, mostLeftovers)) {
    const path = join(dir, name)
    if (path !== ownSocket && (await isOldSocket(path)) && (await isRefused(path))) found.push(path)
  }
  return found
}

/** Of those whose deaths nobody needs to prove any more. */
export async function removeSockets(paths: readonly string[]): Promise<void> {
  await Promise.all(paths.map((path) => unlink(path).catch(() => undefined)))
}

async function isOldSocket(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => null)
  return stats !== null && stats.isSocket() && Date.now() - stats.mtimeMs > leftoverMs
}

/** Never hangs: a full backlog is an error too. */
async function isRefused(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.on('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  })
}

async function socketPath(dataDir: string): Promise<string> {
  const name = `${randomBytes(8).toString('hex')}.sock`
  const inData = join(dataDir, 'workers', name)
  if (Buffer.byteLength(inData) <= longestPath) {
    await mkdir(join(dataDir, 'workers'), { recursive: true, mode: 0o700 })
    return inData
  }
  const owner = createHash('sha256').update(dataDir).digest('hex').slice(0, 12)
  return join(tmpdir(), `uj-${owner}-${name}`)
}

interface DeathWatchDeps {
  hostId: string
  bootId: string
  ownSocket: string
  /** The process of this heartbeat is gone for certain. Resolves with whether that is dealt with; the proof is kept until then. */
  onDeath(worker: WorkerView): Promise<boolean>
}

export class DeathWatch {
  readonly #deps: DeathWatchDeps
  /** By socket path, which a process keeps for its whole life. */
  readonly #neighbours = new Map<string, { worker: WorkerView; socket: Socket | null }>()
  #isClosed = false

  constructor(deps: DeathWatchDeps) {
    this.#deps = deps
  }

  /** Keeps a connection to every living worker of this machine. */
  round(workers: readonly WorkerView[]): void {
    const { hostId, bootId, ownSocket } = this.#deps
    const present = new Set<string>()
    for (const worker of workers) {
      if (worker.hostId !== hostId || worker.bootId !== bootId || worker.deathSocket === ownSocket) continue
      present.add(worker.deathSocket)
      const known = this.#neighbours.get(worker.deathSocket)
      if (known) known.worker = worker
      else this.#neighbours.set(worker.deathSocket, { worker, socket: null })
      this.#hold(worker.deathSocket)
    }
    for (const [path, { socket }] of this.#neighbours) {
      if (present.has(path)) continue
      this.#neighbours.delete(path)
      socket?.destroy()
    }
  }

  close(): void {
    this.#isClosed = true
    for (const { socket } of this.#neighbours.values()) socket?.destroy()
    this.#neighbours.clear()
  }

  #hold(path: string): void {
    const neighbour = this.#neighbours.get(path)
    if (this.#isClosed || !neighbour || neighbour.socket) return
    const socket = connect({ path })
    neighbour.socket = socket
    let wasConnected = false
    let refused = false
    socket.unref()
    socket.on('connect', () => {
      wasConnected = true
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      refused = error.code === 'ECONNREFUSED' && !wasConnected
    })
    socket.on('close', () => {
      const current = this.#neighbours.get(path)
      if (current?.socket !== socket) return
      current.socket = null
      if (refused) void this.#bury(path, current.worker)
      // The end of a connection proves nothing yet; being refused now would.
      else if (wasConnected) this.#hold(path)
    })
  }

  async #bury(path: string, worker: WorkerView): Promise<void> {
    this.#neighbours.delete(path)
    if (await this.#deps.onDeath(worker)) await removeSockets([path])
  }
}
