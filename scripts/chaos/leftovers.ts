// What should be gone when everything has come to rest: jobs, locks, commands, heartbeats of the dead, processes.
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { workerKey, workersKey } from '../../src/sessions/session-keys.ts'
import type { WorkerView } from '../../src/sessions/worker-heartbeat.ts'
import type { History } from './check/history.ts'

export async function readWorkers(redis: Redis, prefix: string): Promise<WorkerView[]> {
  const incarnations = await redis.zrange(workersKey(prefix), '0', '-1')
  const values = await Promise.all(incarnations.map((incarnation) => redis.get(workerKey(prefix, incarnation))))
  return values.flatMap((value) => (value === null ? [] : [JSON.parse(value) as WorkerView]))
}

export async function readShares(redis: Redis, prefix: string): Promise<History['shares']> {
  const workers = await readWorkers(redis, prefix)
  return workers.filter(({ draining }) => !draining).map(({ pid, held }) => ({ workerPid: pid, held }))
}

/** Lists and sorted sets of BullMQ's that hold jobs which should have ended. */
const waitingParts = ['active', 'wait', 'prioritized', 'paused', 'delayed']

export async function leftInRedis(redis: Redis, prefix: string): Promise<string[]> {
  const left: string[] = []
  for await (const keys of redis.scanStream({ match: `${prefix}:*`, count: 1_000 }) as AsyncIterable<string[]>) {
    for (const key of keys) {
      const problem = await leftOver(redis, key.slice(prefix.length + 1))
      if (problem) left.push(problem)
    }
  }
  return left

  async function leftOver(connection: Redis, name: string): Promise<string | undefined> {
    const key = `${prefix}:${name}`
    // Ticks repeat for ever, and lock themselves while they run.
    if (name.startsWith('bull:ticks:') || name.startsWith('tick:')) return undefined
    const part = name.slice(name.lastIndexOf(':') + 1)
    if (name.startsWith('bull:') && part === 'lock') return `a job is locked still: ${name}`
    if (name.startsWith('session:') && part === 'commands') return `commands wait still: ${name}`
    if (!name.startsWith('bull:') || !waitingParts.includes(part)) return undefined
    const type = await connection.type(key)
    const count = type === 'list' ? await connection.llen(key) : type === 'zset' ? await connection.zcard(key) : 0
    return count > 0 ? `${count} jobs in ${name}` : undefined
  }
}

/** PM2's daemon answers before it ends. */
const endingMs = 5_000

/** Processes that were started for this fleet and still run. */
export async function leftProcesses(pm2Home: string): Promise<string[]> {
  const end = performance.now() + endingMs
  for (;;) {
    const left = await listProcesses(pm2Home)
    if (left.length === 0 || performance.now() > end) return left
    await sleep(100)
  }
}

async function listProcesses(pm2Home: string): Promise<string[]> {
  const left: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || pid === String(process.pid)) continue
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (!environment.split('\0').includes(`PM2_HOME=${pm2Home}`)) continue
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command !== '') left.push(`process ${pid} runs still: ${command.replaceAll('\0', ' ').trim()}`)
  }
  return left
}
