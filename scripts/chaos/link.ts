// A TCP link between workers and sandbox that can be slow, lossy, cut or deaf, and remembers when each connection last carried a byte out.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Random } from './random.ts'

export interface LinkState {
  /** Each way; null: as fast as it goes. */
  bytesPerSecond: number | null
  /** Segments get lost and are sent again later: everything behind them waits. */
  isLossy: boolean
}

/** One connection of a worker's; `port` is the worker's own. */
export interface LinkRecord {
  port: number
  openedAt: number
  /** When the last byte came from the worker, at the earliest: this process may have been slow to read it. */
  lastByteAt: number
}

export interface Link {
  port: number
  records: LinkRecord[]
  set(state: LinkState): void
  /** Resets this part of all connections. Answers how many that were, as the next two do. */
  cut(part: number): number
  /** This part of all connections carries nothing any more and stays open, as when a router forgets them. Later ones are not concerned. */
  swallow(part: number): number
  /** What workers write passes, but no answer comes back any more. Later connections are not concerned. */
  mute(part: number): number
  close(): Promise<void>
}

/** Of a link that loses segments: how many are concerned, and how long TCP takes to notice. */
const loss = { part: 0.03, leastMs: 200, mostMs: 1_200 }

export async function startLink(targetPort: number, random: Random): Promise<Link> {
  const state: LinkState = { bytesPerSecond: null, isLossy: false }
  const records: LinkRecord[] = []
  const turns = watchTurns()
  const open = new Set<Passage>()
  const server = createServer((client) => {
    const record = { port: client.remotePort ?? 0, openedAt: Date.now(), lastByteAt: 0 }
    records.push(record)
    const passage = new Passage(client, connect(targetPort, '127.0.0.1'), { state, random, record, turns })
    open.add(passage)
    passage.ended.then(
      () => open.delete(passage),
      () => undefined,
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const part = (share: number) => random.some([...open], Math.ceil(open.size * share))
  return {
    port: (server.address() as AddressInfo).port,
    records,
    set: (next) => void Object.assign(state, next),
    cut: (share) => part(share).map((passage) => passage.cut()).length,
    swallow: (share) => part(share).map((passage) => passage.swallow()).length,
    mute: (share) => part(share).map((passage) => passage.mute()).length,
    close: async () => {
      turns.stop()
      server.close()
      for (const passage of open) passage.cut()
      await once(server, 'close')
    },
  }
}

const turnMs = 25
/** In one turn of the event loop a connection is accepted, in the next its first byte is read: what comes now came after the third last; one more to be sure. */
const turnCount = 4

function watchTurns(): { notBefore: () => number; stop: () => void } {
  const began: number[] = [Date.now()]
  const timer = setInterval(() => {
    began.push(Date.now())
    if (began.length > turnCount) began.shift()
  }, turnMs)
  return { notBefore: () => began[0] ?? 0, stop: () => clearInterval(timer) }
}

interface PassageDeps {
  state: LinkState
  random: Random
  record: LinkRecord
  turns: { notBefore: () => number }
}

class Passage {
  readonly ended: Promise<void>
  readonly #client: Socket
  readonly #server: Socket
  /** Those that may still pass something on. */
  readonly #passing: Set<Socket>

  constructor(client: Socket, server: Socket, deps: PassageDeps) {
    this.#client = client
    this.#server = server
    this.#passing = new Set([client, server])
    this.ended = Promise.all([client, server].map((side) => once(side, 'close').catch(() => undefined))).then(() => undefined)
    client.on('data', () => {
      deps.record.lastByteAt = deps.turns.notBefore()
    })
    this.#carry(client, server, deps)
    this.#carry(server, client, deps)
  }

  cut(): void {
    this.#client.resetAndDestroy()
    this.#server.resetAndDestroy()
  }

  swallow(): void {
    this.#passing.clear()
  }

  mute(): void {
    this.#passing.delete(this.#server)
  }

  /** What is swallowed does not pass: neither bytes nor their end. */
  #carry(from: Socket, to: Socket, deps: PassageDeps): void {
    const pipe = new SlowPipe(deps)
    const pass = (act: () => void) => () => {
      if (this.#passing.has(from) && !to.destroyed) act()
    }
    from.setNoDelay(true)
    from.on('data', (piece) => {
      if (this.#passing.has(from))
        pipe.push(
          piece.length,
          pass(() => to.write(piece)),
        )
    })
    from.on(
      'error',
      pass(() => to.resetAndDestroy()),
    )
    from.on('close', () =>
      pipe.push(
        0,
        pass(() => to.destroy()),
      ),
    )
  }
}

/** Lets things through in order, each when the link is free for it. */
class SlowPipe {
  readonly #deps: PassageDeps
  readonly #queue: { dueAt: number; pass: () => void }[] = []
  #freeAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(deps: PassageDeps) {
    this.#deps = deps
  }

  push(bytes: number, pass: () => void): void {
    const { state, random } = this.#deps
    const now = performance.now()
    let dueAt = Math.max(this.#freeAt, now)
    if (state.bytesPerSecond !== null) dueAt += (bytes / state.bytesPerSecond) * 1_000
    if (state.isLossy && random.next() < loss.part) dueAt += random.between(loss.leastMs, loss.mostMs)
    this.#freeAt = dueAt
    this.#queue.push({ dueAt, pass })
    if (this.#timer === undefined) this.#run()
  }

  #run(): void {
    this.#timer = undefined
    const now = performance.now()
    while (this.#queue[0] && this.#queue[0].dueAt <= now) this.#queue.shift()?.pass()
    const next = this.#queue[0]
    if (next) this.#timer = setTimeout(() => this.#run(), Math.max(1, next.dueAt - now))
  }
}
