// A reader of server-sent events for tests: takes what comes, knows the last id, and can stop reading without closing.
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { waitFor } from './wait.ts'

export interface StreamedEvent {
  id: string
  data: { id: string; type: string; sessionId: string; sequence: number; data: Record<string, unknown> }
}

export interface EventReader {
  readonly status: number
  readonly events: StreamedEvent[]
  /** Every line that came, comments too. */
  readonly lines: string[]
  readonly isClosed: boolean
  lastId: string | undefined
  until(count: number): Promise<StreamedEvent[]>
  /** Takes nothing more from the socket. */
  stopReading(): void
  readOn(): void
  close(): void
}

export async function openEvents(url: string, headers: Record<string, string>): Promise<EventReader> {
  const req = request(url, { headers, agent: false })
  req.end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  const events: StreamedEvent[] = []
  const lines: string[] = []
  let isClosed = false
  let rest = ''
  let data: string | undefined
  res.setEncoding('utf8')
  res.on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) {
      lines.push(line)
      if (line.startsWith('id: ')) reader.lastId = line.slice(4)
      if (line.startsWith('data: ')) data = line.slice(6)
      if (line === '' && data !== undefined) {
        events.push({ id: reader.lastId ?? '', data: JSON.parse(data) as StreamedEvent['data'] })
        data = undefined
      }
    }
  })
  res.on('error', () => undefined)
  req.on('error', () => undefined)
  res.on('close', () => {
    isClosed = true
  })
  const reader: EventReader = {
    status: res.statusCode ?? 0,
    events,
    lines,
    get isClosed() {
      return isClosed
    },
    lastId: undefined,
    until: async (count) => waitFor(`${count} events have come`, () => (events.length >= count ? events : null)),
    stopReading: () => void res.pause(),
    readOn: () => void res.resume(),
    close: () => req.destroy(),
  }
  return reader
}
