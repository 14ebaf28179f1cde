// The history of one message or session across all processes, for whoever must find out why a rule was broken.
import { join } from 'node:path'
import type { History, Violation } from './check/history.ts'
import { linesAbout } from './read-logs.ts'
import type { Traffic } from './traffic.ts'

const maxLines = 80

export async function tellStory(
  violation: Violation,
  { history, traffic, dataDir }: { history: History; traffic: Traffic; dataDir: string },
): Promise<string> {
  const { messageId, whatsappId = whatsappIdOf(history, messageId), sessionId } = violation
  const logDir = join(dataDir, 'logs')
  const parts = [`${violation.rule}: ${violation.text} (${[sessionId, messageId, whatsappId].filter(Boolean).join(' ')})`]
  const add = (title: string, lines: string[]) => {
    if (lines.length > 0) parts.push(`  ${title}`, ...lines.map((line) => `    ${line}`))
  }
  if (messageId || whatsappId) {
    const isIt = (entry: { messageId?: string | null; whatsappId?: string }) =>
      (messageId !== undefined && entry.messageId === messageId) || (whatsappId !== undefined && entry.whatsappId === whatsappId)
    const attempts = traffic.attempts.get(messageId ?? '') ?? []
    add(
      'client',
      attempts.map(({ at, outcome }) => `${iso(at)} ${outcome}`),
    )
    add(
      'store',
      history.stored.filter(isIt).map((row) => JSON.stringify(row)),
    )
    add(
      'frames at the server',
      history.frames.filter(isIt).map(({ at, refusedWith }) => `${iso(at)} ${refusedWith ?? 'taken'}`),
    )
    add(
      'phones',
      history.shown.filter(isIt).map(({ phone }) => `shown on ${phone}`),
    )
    add(
      'events',
      history.events.filter(isIt).map(({ type, sequence, eventId }) => `${sequence} ${type} ${eventId}`),
    )
    add('logs', await linesAbout(logDir, messageId ?? whatsappId ?? '', maxLines))
  } else if (sessionId) {
    add('logs', await linesAbout(logDir, sessionId, maxLines))
  }
  if (violation.rule === 'stale_frame' || violation.rule === 'two_holders') {
    const claims = history.claims.filter((claim) => claim.sessionId === sessionId)
    add(
      'claims',
      claims.map(({ at, epoch, workerPid }) => `${iso(at)} epoch ${epoch} by process ${workerPid}`),
    )
  }
  return parts.join('\n')
}

function whatsappIdOf(history: History, messageId: string | undefined): string | undefined {
  return history.stored.find((row) => row.messageId === messageId)?.whatsappId
}

function iso(at: number): string {
  return new Date(at).toISOString()
}
