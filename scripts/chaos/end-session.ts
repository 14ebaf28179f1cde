// Has WhatsApp end a session for good, checks that it ends as the disconnect table says, and then does what its operator would do.
import { setTimeout as sleep } from 'node:timers/promises'
import type { SessionResource } from '../support/api-client.ts'
import { SandboxProblem, type SandboxClient } from '../support/sandbox-client.ts'
import type { History } from './check/history.ts'
import { describeEnding, type Ending } from './schedule.ts'
import type { ChaosSession } from './traffic.ts'

/** What `end_session` writes down for the checker. */
export interface EndingBooks extends Pick<History, 'endings' | 'inboundGaps' | 'lostWithDevice'> {
  /** By session: what must be over before its next end. */
  underWay: Map<string, Promise<void>>
}

export function emptyBooks(): EndingBooks {
  return { endings: [], inboundGaps: [], lostWithDevice: [], underWay: new Map() }
}

/** Beside all that happens to the fleet meanwhile: an emptied Redis forgets how often there was a conflict. */
const endDeadlineMs = 300_000
const returnDeadlineMs = 180_000
const strikeMs = 3_000
const pollMs = 250

interface EndedAs {
  status: 'disconnected' | 'logged_out'
  reason: string
}

const byCode: Record<401 | 403 | 405 | 411, EndedAs> = {
  401: { status: 'logged_out', reason: 'login_refused' },
  403: { status: 'disconnected', reason: 'banned' },
  405: { status: 'disconnected', reason: 'client_outdated' },
  411: { status: 'logged_out', reason: 'pairing_rejected' },
}

function expectedEnd(ending: Ending): EndedAs[] {
  if (ending.by === 'conflict') return [{ status: 'disconnected', reason: 'replaced_elsewhere' }]
  // Whoever was not connected when the device went learns of it at the next login.
  if (ending.by === 'unlink') return ['device_removed', 'login_refused'].map((reason) => ({ status: 'logged_out', reason }))
  return [byCode[ending.code]]
}

/** One end of a session after the other. */
export async function endSession(
  sandbox: SandboxClient,
  books: EndingBooks,
  session: ChaosSession,
  ending: Ending,
): Promise<void> {
  const before = books.underWay.get(session.id) ?? Promise.resolve()
  const ended = before.catch(() => undefined).then(() => endOnce(sandbox, books, session, ending))
  books.underWay.set(session.id, ended)
  await ended
}

async function endOnce(sandbox: SandboxClient, books: EndingBooks, session: ChaosSession, ending: Ending): Promise<void> {
  const expected = expectedEnd(ending)
  const isRemoval = expected[0]?.status === 'logged_out'
  const from = Date.now()
  // Until it is paired again what people write finds no device: open from the start, so that nobody looks too early.
  const gap = { sessionId: session.id, from, until: Infinity }
  if (isRemoval) books.inboundGaps.push(gap)
  const seen = await untilEnded(sandbox, books, session, ending)
  const isBack = await untilBack(sandbox, books, session)
  if (isRemoval && isBack) gap.until = Date.now()
  const isExpected = seen !== null && expected.some(({ status, reason }) => status === seen.status && reason === seen.reason)
  const wanted = expected.map(({ reason }) => reason).join(' or ')
  const found = seen === null ? 'it did not end' : `it became ${seen.status}, ${seen.reason}`
  books.endings.push({
    sessionId: session.id,
    kind: describeEnding(ending),
    problem: isExpected ? (isBack ? null : 'it did not come back') : `${found} instead of ${wanted}`,
  })
}

/** Struck again and again: a worker may die with the news. Null when nothing came of it. */
async function untilEnded(
  sandbox: SandboxClient,
  books: EndingBooks,
  session: ChaosSession,
  ending: Ending,
): Promise<EndedAs | null> {
  const end = performance.now() + endDeadlineMs
  let struckAt = -Infinity
  while (performance.now() < end) {
    const { status, statusReason } = (await look(session)) ?? {}
    if (status === 'disconnected' || status === 'logged_out') return { status, reason: statusReason ?? '' }
    if (performance.now() - struckAt > strikeMs && (await strike(sandbox, books, session, ending))) struckAt = performance.now()
    await sleep(pollMs)
  }
  return null
}

/** True when a socket was struck, or the device is gone. */
async function strike(sandbox: SandboxClient, books: EndingBooks, session: ChaosSession, ending: Ending): Promise<boolean> {
  const sessions = [session.phoneNumber]
  switch (ending.by) {
    case 'unlink':
      return unlink(sandbox, books, session)
    case 'conflict':
      return (await sandbox.fault({ kind: 'conflict', sessions })).sockets > 0
    case 'stream':
      return (await sandbox.fault({ kind: 'stream_error', code: ending.code, sessions })).sockets > 0
    case 'login':
      await sandbox.fault({ kind: 'login_failure', code: ending.code, count: 1, sessions })
      return (await sandbox.fault({ kind: 'close', sessions })).sockets > 0
  }
}

/** What waited for a removed device is gone, as at WhatsApp. */
async function unlink(sandbox: SandboxClient, books: EndingBooks, session: ChaosSession): Promise<boolean> {
  try {
    const { lost } = await sandbox.unlink(session.phoneNumber)
    books.lostWithDevice.push(...lost.map((whatsappId) => ({ sessionId: session.id, whatsappId })))
    return true
  } catch (error) {
    if (error instanceof SandboxProblem && error.code === 'device_not_found') return true
    throw error
  }
}

/** What an operator does: connects it again, and has its phone scan the code when it asks for that. */
async function untilBack(sandbox: SandboxClient, books: EndingBooks, session: ChaosSession): Promise<boolean> {
  const end = performance.now() + returnDeadlineMs
  while (performance.now() < end) {
    const status = (await look(session))?.status
    if (status === 'connected') return true
    if (status === 'logged_out') await unlink(sandbox, books, session)
    if (status === 'logged_out' || status === 'disconnected') {
      await attempt(() => session.api.call('POST', `/v1/sessions/${session.id}/connect`))
    } else if (status === 'pairing') {
      const code = await attempt(() => session.api.qr(session.id))
      if (code) await attempt(() => sandbox.scan(session.phoneNumber, code.qr))
    }
    await sleep(pollMs)
  }
  return false
}

async function look(session: ChaosSession): Promise<SessionResource | undefined> {
  return attempt(() => session.api.session(session.id))
}

/** Whatever fails now, for all that happens to the fleet, is tried again in the next round. */
async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch {
    return undefined
  }
}
