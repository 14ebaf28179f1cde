// Questions that only a live socket can answer: the API puts them into a list, the holder answers each once under its epoch.
import type { Redis } from 'ioredis'
import { sleep } from '../platform/clock.ts'
import { AppError, errorTable, type ErrorCode } from '../platform/errors.ts'
import { newId } from '../platform/id.ts'
import { defineScript } from '../platform/redis-script.ts'
import { readLiveSession, wakeSession, type LiveSession } from './live-session.ts'
import { answerKey, commandsKey, leaseKey } from './session-keys.ts'

export interface SessionCommands {
  contacts_check: {
    args: { phoneNumbers: string[] }
    answer: { phoneNumber: string; exists: boolean; lid: string | null }[]
  }
  pairing_code: {
    /** Digits; null = the session's own `pairingPhoneNumber`. */
    args: { phoneNumber: string | null }
    /** `ABCD-EFGH`; milliseconds since the epoch. */
    answer: { code: string; expiresAt: number }
  }
}
export type CommandKind = keyof SessionCommands

interface Command {
  id: string
  kind: CommandKind
  args: unknown
  deadlineAt: number
}
type Answer = { value: unknown } | { code: ErrorCode; detail: string; retryAfterSeconds?: number }

const answerTtlMs = 60_000
const maxWaiting = 100

const pushScript = defineScript(`
if redis.call('RPUSH', KEYS[1], ARGV[1]) > tonumber(ARGV[3]) then redis.call('RPOP', KEYS[1]) return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`)
const takeScript = defineScript(`
local lease = redis.call('HMGET', KEYS[2], 'owner', 'epoch')
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] then return false end
return redis.call('LPOP', KEYS[1])
`)

/**
 * Asks the holder and waits for its answer.
 * @throws AppError `session_not_connected` (no holder, or not in the state the command needs), `session_already_paired`,
 *   `session_busy` (no answer in time), `redis_unavailable`, and whatever the holder answers.
 */
export async function callSession<K extends CommandKind>(
  { redis, prefix }: { redis: Redis; prefix: string },
  sessionId: string,
  kind: K,
  args: SessionCommands[K]['args'],
  { deadlineMs = 15_000 }: { deadlineMs?: number } = {},
): Promise<SessionCommands[K]['answer']> {
  const deadlineAt = Date.now() + deadlineMs
  try {
    requireState(kind, await readLiveSession({ redis, prefix }, sessionId))
    const command: Command = { id: newId('cmd'), kind, args, deadlineAt }
    const pushed = await pushScript(redis, [commandsKey(prefix, sessionId)], [JSON.stringify(command), answerTtlMs, maxWaiting])
    if (pushed !== 1) throw busy()
    await wakeSession(redis, prefix, sessionId, 'command')
    return (await waitForAnswer(redis, answerKey(prefix, command.id), deadlineAt)) as SessionCommands[K]['answer']
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('redis_unavailable', undefined, { cause: error, retryAfterSeconds: 2 })
  }
}

function requireState(kind: CommandKind, live: LiveSession): void {
  if (!live.holder) throw notConnected('No worker holds the session at present.')
  const needed = kind === 'pairing_code' ? 'pairing' : 'connected'
  if (live.state === needed) return
  if (kind === 'pairing_code' && ['connecting', 'connected', 'reconnecting'].includes(live.state ?? '')) {
    throw new AppError('session_already_paired')
  }
  throw notConnected(`The session is ${live.state ?? 'not held'}; this call needs it ${needed}.`)
}

export function notConnected(detail?: string): AppError {
  return new AppError('session_not_connected', detail, { retryAfterSeconds: 2 })
}

function busy(): AppError {
  return new AppError('session_busy', undefined, { retryAfterSeconds: 5 })
}

async function waitForAnswer(redis: Redis, key: string, deadlineAt: number): Promise<unknown> {
  for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 1.3, 200)) {
    const text = await redis.get(key)
    if (text) {
      const answer = JSON.parse(text) as Answer
      if ('value' in answer) return answer.value
      const { code, detail, retryAfterSeconds } = answer
      throw new AppError(code, detail, retryAfterSeconds === undefined ? {} : { retryAfterSeconds })
    }
    if (Date.now() >= deadlineAt) throw busy()
    await sleep(pauseMs)
  }
}

export type CommandHandlers = {
  [K in CommandKind]: (args: SessionCommands[K]['args'], deadlineAt: number) => Promise<SessionCommands[K]['answer']>
}

/**
 * The holder's side: takes and answers what waits, one after the other, until the list is empty or the lease is another's.
 * A command past its deadline is dropped: nobody waits for it any more.
 */
export async function serveCommands(
  { redis, prefix }: { redis: Redis; prefix: string },
  holder: { sessionId: string; incarnation: string; epoch: number },
  handlers: CommandHandlers,
): Promise<number> {
  const keys = [commandsKey(prefix, holder.sessionId), leaseKey(prefix, holder.sessionId)]
  for (let served = 0; ; served++) {
    const text = await takeScript(redis, keys, [holder.incarnation, holder.epoch])
    if (typeof text !== 'string') return served
    const command = JSON.parse(text) as Command
    if (Date.now() >= command.deadlineAt) continue
    const answer = await answerTo(command, handlers)
    await redis.set(answerKey(prefix, command.id), JSON.stringify(answer), 'PX', answerTtlMs)
  }
}

async function answerTo(command: Command, handlers: CommandHandlers): Promise<Answer> {
  const handle = handlers[command.kind] as ((args: unknown, deadlineAt: number) => Promise<unknown>) | undefined
  if (!handle) return { code: 'internal', detail: errorTable.internal.title }
  try {
    return { value: await handle(command.args, command.deadlineAt) }
  } catch (error) {
    if (!(error instanceof AppError)) return { code: 'internal', detail: errorTable.internal.title }
    const { code, message: detail, retryAfterSeconds } = error
    return retryAfterSeconds === undefined ? { code, detail } : { code, detail, retryAfterSeconds }
  }
}
