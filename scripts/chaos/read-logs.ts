// What the processes logged: who claimed which session when, which connection belongs to which epoch, and all lines about one thing.
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Claim, Connection } from './check/history.ts'
import { countedMessages } from './count-paths.ts'
import type { LinkRecord } from './link.ts'

const samePortMs = 15_000

export interface Line {
  time: string
  pid: number
  process: string
  msg: string
  [field: string]: unknown
}

/** Lines that are no JSON (a process was killed while it wrote) are skipped. */
async function* linesOf(path: string, about: (text: string) => boolean): AsyncGenerator<Line> {
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    if (!about(text)) continue
    try {
      yield JSON.parse(text) as Line
    } catch {
      continue
    }
  }
}

/** From the lines of session workers, in any order. */
export function ownershipOf(
  lines: readonly Line[],
  links: readonly LinkRecord[],
): { claims: Claim[]; connections: Connection[] } {
  const claims: Claim[] = []
  const connections: Connection[] = []
  const byPort = Map.groupBy(links, ({ port }) => port)
  for (const line of lines) {
    const at = Date.parse(line.time)
    const { sessionId, epoch } = line as unknown as { sessionId: string; epoch: number }
    if (line.msg === 'lease.claimed') claims.push({ sessionId, epoch, at, workerPid: line.pid })
    if (line.msg !== 'socket.connected') continue
    // Ports are used again: it is the one that was opened at about that time.
    const own = (byPort.get(line['localPort'] as number) ?? []).filter(({ openedAt }) => Math.abs(openedAt - at) < samePortMs)
    const [link] = own.toSorted((a, b) => Math.abs(a.openedAt - at) - Math.abs(b.openedAt - at))
    if (!link) continue
    const { openedAt, lastByteAt } = link
    connections.push({ sessionId, epoch, openedAt, lastByteAt, lagMs: Math.max(0, openedAt - at) })
  }
  return { claims, connections }
}

/** Of the session workers: who claimed and connected what, and everything that is counted. */
export async function readTellingLines(logDir: string): Promise<Line[]> {
  const lines: Line[] = []
  const names = ['lease.claimed', 'socket.connected', ...countedMessages].map((name) => name.replace('.', '\\.'))
  const telling = new RegExp(`"msg":"(${names.join('|')})"`)
  for await (const line of linesOf(join(logDir, 'session-worker.log'), (text) => telling.test(text))) lines.push(line)
  return lines
}

export async function readOwnership(logDir: string, links: readonly LinkRecord[]): Promise<ReturnType<typeof ownershipOf>> {
  return ownershipOf(await readTellingLines(logDir), links)
}

/** The last lines of all processes that name this id, by time. */
export async function linesAbout(logDir: string, id: string, limit: number): Promise<string[]> {
  const found: Line[] = []
  for (const name of await readdir(logDir)) {
    for await (const line of linesOf(join(logDir, name), (text) => text.includes(id))) found.push(line)
  }
  return found
    .toSorted((a, b) => (a.time < b.time ? -1 : 1))
    .slice(-limit)
    .map(({ time, process, pid, msg, level: _level, ...fields }) => `${time} ${process} ${pid} ${msg} ${JSON.stringify(fields)}`)
}
