// The event log as server-sent events: read from the store, at the pace of the reader, and never kept for one that does not read.
import type { ServerResponse } from 'node:http'
import { sleep } from '../platform/clock.ts'
import { AppError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { EventRecord, EventStore, EventType } from '../store/event-store.ts'
import { eventBody } from '../webhooks/event.ts'
import type { EventStream, StreamSettings } from '../webhooks/event-streams.ts'
import { readEvents } from '../webhooks/read-events.ts'

interface StreamDeps {
  events: Pick<EventStore, 'read'>
  settings: StreamSettings
  log: Log
  /** Throws when the key, the cookie or the session is no longer good. */
  check(): Promise<unknown>
}

interface StreamInput {
  sessionId: string | null
  place: string
  types: readonly EventType[] | null
  /** Aborts when the reader has gone or the process stops. */
  signal: AbortSignal
}

const pageSize = 50
/** Who was asked about so lately is not asked about again, as with other requests. */
const checkedMs = 1_000
/** A line that takes so much in `drainMs` is slow, not dead: an event that is longer must not begin anew each time. */
const sliceBytes = 16_384
/** While the store is away. */
const againMs = 1_000
const headers = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'X-Accel-Buffering': 'no', // nginx would hold events back
}

/** Writes until the reader goes, is dropped, or may no longer read. What ends it is answered by the reader's next request. */
export async function streamEvents(
  deps: StreamDeps,
  input: StreamInput,
  stream: EventStream,
  res: ServerResponse,
): Promise<void> {
  const { settings, log } = deps
  const { sessionId, types, signal } = input
  let { place } = input
  let writtenAt = 0
  let checkedAt = performance.now()
  const write = async (text: string) => {
    const bytes = Buffer.from(text)
    for (let from = 0; from < bytes.length; from += sliceBytes) {
      await writeSlice(res, bytes.subarray(from, from + sliceBytes), signal, settings.drainMs)
      writtenAt = performance.now()
    }
  }
  res.writeHead(200, headers)
  try {
    // The id stands there before the first event, so that whoever is cut off before it comes back to the same place.
    await write(`retry: 2000\nid: ${place}\n: connected\n\n`)
    while (!signal.aborted) {
      const page = await readEvents(deps.events, { sessionId, after: place, types, limit: pageSize })
      // Between the reading and the writing: who was refused meanwhile is told nothing of it.
      if (performance.now() - checkedAt > (page.events.length > 0 ? checkedMs : settings.heartbeatMs)) {
        await deps.check()
        checkedAt = performance.now()
      }
      for (const event of page.events) await write(`id: ${placeOf(event, sessionId)}\ndata: ${eventBody(event)}\n\n`)
      place = page.next
      if (page.hasMore) continue
      await stream.wait(Math.max(0, writtenAt + settings.heartbeatMs - performance.now()), signal)
      if (performance.now() - writtenAt >= settings.heartbeatMs) await write(`id: ${place}\n: heartbeat\n\n`)
    }
    res.end()
  } catch (err) {
    if (err instanceof AppError) {
      log.debug({ err, ...(sessionId === null ? {} : { sessionId }) }, 'stream.ended')
      if (err.retryable) await sleep(againMs, signal)
      res.end()
      setTimeout(() => res.destroy(), settings.drainMs).unref()
      return
    }
    res.destroy()
    if (signal.aborted) return
    if (!isTimeout(err)) throw err
    log.info(sessionId === null ? {} : { sessionId }, 'stream.reader_dropped')
  }
}

/** Resolves when no more than a slice waits for the line. What is written to one that is gone is nobody's concern: `signal` tells of it. */
async function writeSlice(res: ServerResponse, slice: Uint8Array, signal: AbortSignal, drainMs: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    res.write(slice, () => resolve())
    if (res.writableLength <= sliceBytes) return resolve()
    if (signal.aborted) return reject(signal.reason as Error)
    const bound = AbortSignal.any([signal, AbortSignal.timeout(drainMs)])
    bound.addEventListener('abort', () => reject(bound.reason as Error), { once: true })
  })
}

function placeOf(event: EventRecord, sessionId: string | null): string {
  return sessionId === null ? event.cursor : String(event.sequence)
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')
}
