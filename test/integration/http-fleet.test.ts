// `/v1/fleet` beside real session workers: who lives, who holds what, and what was taken from the dead.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'
import { waitFor } from '../support/wait.ts'
import { startWorkerProcess, type WorkerProcess } from '../support/worker-process.ts'

interface Fleet {
  workers: { pid: number; host: string; sessions: number; takeovers: number; heartbeatAgeSeconds: number; draining: boolean }[]
  totals: { sessions: number; capacity: number; unheld: number; takeovers: number }
}

const ttlMs = 3_000
let api: TestApi
let spare: string
const workers: WorkerProcess[] = []
beforeAll(async () => {
  api = await startTestApi()
  spare = await mkdtemp(join(tmpdir(), 'uj-fleet-'))
})
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.end('SIGKILL')))
  await api.close()
  await rm(spare, { recursive: true, force: true })
})

async function startWorker(): Promise<WorkerProcess> {
  const worker = await startWorkerProcess('session-worker', {
    UJUMBE_DATA_DIR: dirname(api.storePath),
    TMPDIR: spare,
    REDIS_URL: `unix://${api.redis.socketPath}`,
    UJUMBE_REDIS_PREFIX: api.prefix,
    UJUMBE_LEASE_TTL_MS: String(ttlMs),
    UJUMBE_HOST_ID: 'machine-a',
    UJUMBE_WORKER_CAPACITY: '50',
    UJUMBE_WHATSAPP_URL: 'ws://127.0.0.1:9/ws/chat',
  })
  workers.push(worker)
  return worker
}

async function fleet(): Promise<Fleet> {
  const answer = await api.call('GET', '/v1/fleet', { key: api.adminKey })
  expect(answer.status, answer.text).toBe(200)
  return answer.body as Fleet
}

test('nobody there: all sessions are unheld', async () => {
  for (let i = 0; i < 4; i++) await makeSession(api)
  expect(await fleet()).toEqual({ workers: [], totals: { sessions: 0, capacity: 0, unheld: 4, takeovers: 0 } })
})

test('workers show what they hold; what one leaves behind when it dies is a takeover, what it hands over is not', async () => {
  const first = await startWorker()
  await waitFor('the first holds all', async () => (await fleet()).totals.sessions === 4)
  const second = await startWorker()
  for (let i = 0; i < 4; i++) await makeSession(api)
  // The first may have taken all before it saw the second: shares are even within a minute of a join.
  const hasBoth = async () => {
    const seen = await fleet()
    return seen.totals.sessions === 8 && seen.workers.every(({ sessions }) => sessions > 0) && seen
  }
  const both = await waitFor('the second holds some', hasBoth, 60_000)
  expect(both.totals).toEqual({ sessions: 8, capacity: 100, unheld: 0, takeovers: 0 })
  for (const worker of both.workers) {
    expect(worker).toMatchObject({ host: 'machine-a', draining: false, takeovers: 0 })
    expect(worker.heartbeatAgeSeconds).toBeLessThanOrEqual(ttlMs / 1_000)
  }
  const left = both.workers.find(({ pid }) => pid === first.pid)?.sessions
  await first.end('SIGKILL')
  const after = await waitFor('the second holds all', async () => {
    const seen = await fleet()
    return seen.workers.length === 1 && seen.totals.sessions === 8 && seen
  })
  expect(after.workers[0]).toMatchObject({ pid: second.pid, takeovers: left })
  expect(after.totals).toMatchObject({ unheld: 0, takeovers: left })
  const third = await startWorker()
  await second.end('SIGTERM')
  const last = await waitFor('all held by the third', async () => {
    const seen = await fleet()
    return seen.workers.length === 1 && seen.totals.sessions === 8 && seen
  })
  expect(last.workers[0]).toMatchObject({ pid: third.pid, takeovers: 0 })
  expect(last.totals.takeovers).toBe(left)
}, 120_000)

test('Redis away: a problem, at once', async () => {
  await api.redis.stop()
  const answer = await api.call('GET', '/v1/fleet', { key: api.adminKey })
  expect(answer.body).toMatchObject({ status: 503, code: 'redis_unavailable' })
  await api.redis.start()
})
