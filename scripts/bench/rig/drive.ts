// Posts requests over a few kept connections, so many at once, and times them.
import { Pool } from 'undici'

export interface Drive {
  origin: string
  headers?: Record<string, string>
  count: number
  /** Requests under way at once. */
  concurrency: number
  request: (index: number) => { path: string; body: object }
}

/** Resolves with the seconds it took. @throws Error for the first answer that is not 202 */
export async function drive({ origin, headers = {}, count, concurrency, request }: Drive): Promise<number> {
  const pool = new Pool(origin, { connections: concurrency })
  const startedAt = performance.now()
  let next = 0
  const work = async () => {
    while (next < count) {
      const { path, body } = request(next++)
      const answer = await pool.request({
        method: 'POST',
        path,
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      })
      const text = await answer.body.text()
      if (answer.statusCode !== 202) throw new Error(`${path} answered ${answer.statusCode}: ${text.slice(0, 200)}`)
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, work))
    return (performance.now() - startedAt) / 1_000
  } finally {
    await pool.destroy()
  }
}
