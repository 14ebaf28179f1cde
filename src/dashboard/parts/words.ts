// What states, reasons and numbers are called on this page, and what to do about them.
import type { Level, MessageStatus, Session, SessionStatus } from '../api/resources.ts'

export type Tone = 'good' | 'warn' | 'bad' | 'quiet' | 'busy'

const statusWords: Record<SessionStatus, { label: string; tone: Tone }> = {
  pending: { label: 'Starting', tone: 'busy' },
  pairing: { label: 'Waiting to be paired', tone: 'busy' },
  connecting: { label: 'Connecting', tone: 'busy' },
  connected: { label: 'Connected', tone: 'good' },
  reconnecting: { label: 'Reconnecting', tone: 'warn' },
  disconnected: { label: 'Disconnected', tone: 'quiet' },
  logged_out: { label: 'Logged out', tone: 'quiet' },
}

type Standing = Pick<Session, 'status'> & { statusReason?: string | undefined }

/** It is off, does not come back by itself, and nobody asked for that; the score and the alerts count it as critical. */
export function isGivenUp({ status, statusReason }: Standing): boolean {
  return (status === 'disconnected' || status === 'logged_out') && statusReason !== 'requested'
}

export function statusOf(session: Standing): { label: string; tone: Tone } {
  const { label, tone } = statusWords[session.status]
  return { label, tone: isGivenUp(session) ? 'bad' : tone }
}

export const levelWords: Record<Level, { label: string; tone: Tone }> = {
  healthy: { label: 'Healthy', tone: 'good' },
  recovering: { label: 'Recovering', tone: 'warn' },
  critical: { label: 'Critical', tone: 'bad' },
}

/** `statusReason` → what happened, and what to do. */
const reasonSentences: Record<string, string> = {
  requested: 'You asked for it. Connect it when you want it back.',
  pairing_timed_out: 'Nobody scanned the code in time. Connect to get a new one.',
  device_removed: 'The phone removed this device. Pair it again.',
  login_refused: 'WhatsApp refused the login. Pair it again.',
  pairing_rejected: 'WhatsApp refused the pairing. Try again, or with another number.',
  banned: 'WhatsApp has banned this number. Open WhatsApp on the phone to appeal.',
  temporarily_banned: 'WhatsApp has banned this number for a while. It is tried again later.',
  client_outdated: 'WhatsApp wants a newer client. Update Ujumbe, or set UJUMBE_WHATSAPP_VERSION.',
  replaced_elsewhere: 'Another program uses this pairing. Stop it, then connect again.',
  credentials_unreadable: 'The stored credentials cannot be decrypted. Restore the master key; nothing is erased.',
  connection_lost: 'The connection went silent. It is tried again.',
  connection_closed: 'WhatsApp closed the connection. It is tried again.',
  unreachable: 'WhatsApp cannot be reached. Check the network of the machine; it is tried again.',
  proxy_failed: 'Its proxy cannot be reached, or refuses. Check the proxy and its password; it is tried again, never without it.',
  proxy_changed: 'It connects anew, by the way that was set.',
  rate_limited: 'WhatsApp asks to slow down. It is tried again after a pause.',
  service_unavailable: 'WhatsApp is not available. It is tried again.',
}

function reasonSentence(reason: string | undefined): string | null {
  if (reason === undefined) return null
  return reasonSentences[reason] ?? `${capital(reason.replaceAll('_', ' '))}. It is tried again.`
}

/** In one line: why this session is not simply well. */
export function troubleOf(session: Pick<Session, 'status' | 'statusReason' | 'restriction'>): string | null {
  if (session.status === 'connected')
    return session.restriction ? 'WhatsApp does not let it write to new contacts at present.' : null
  if (session.status === 'pending' || session.status === 'connecting') return null
  if (session.status === 'pairing' && session.statusReason === 'proxy_failed') return reasonSentence(session.statusReason)
  if (session.status === 'pairing') return 'Scan the QR code, or use a pairing code.'
  return reasonSentence(session.statusReason)
}

export const messageWords: Record<MessageStatus, { label: string; tone: Tone }> = {
  scheduled: { label: 'Scheduled', tone: 'quiet' },
  queued: { label: 'Queued', tone: 'quiet' },
  sending: { label: 'Sending', tone: 'busy' },
  sent: { label: 'Sent', tone: 'busy' },
  delivered: { label: 'Delivered', tone: 'good' },
  read: { label: 'Read', tone: 'good' },
  played: { label: 'Played', tone: 'good' },
  failed: { label: 'Failed', tone: 'bad' },
  expired: { label: 'Expired', tone: 'warn' },
  canceled: { label: 'Canceled', tone: 'quiet' },
  received: { label: 'Received', tone: 'good' },
}

export const holdSentences: Record<string, string> = {
  session: 'the pace of this session',
  recipient: 'the pace for this recipient',
  fleet: 'the pace of the whole fleet',
  new_contacts: 'today’s limit for new contacts',
  restriction: 'WhatsApp’s restriction on new contacts',
}

/** `12 s`, `3 min`, `5 h`, `2 days` */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} days`
}

/** How long a step took, where fractions matter. */
export function shortDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`
  return duration(ms)
}

/** A length of time as a unit: `5 min`, `2.8 h`. */
export function shortSpan(ms: number): string {
  return ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 360_000) / 10} h`
}

export function ago(iso: string | null | undefined, nowMs: number): string {
  if (!iso) return 'never'
  const passed = nowMs - Date.parse(iso)
  return passed < 5_000 ? 'just now' : `${duration(passed)} ago`
}

/** `in 3 min`, or `now` when it is due. */
export function ahead(iso: string, nowMs: number): string {
  const left = Date.parse(iso) - nowMs
  return left < 1_000 ? 'now' : `in ${duration(left)}`
}

const clockTime = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const dayTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
const number = new Intl.NumberFormat()

export const atClock = (iso: string | number): string => clockTime.format(new Date(iso))
export const atDay = (iso: string | number): string => dayTime.format(new Date(iso))
export const count = (value: number): string => number.format(value)
export const plural = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`
export const phone = (digits: string | null | undefined): string | null => (digits ? `+${digits}` : null)
export const percent = (value: number): string => `${value >= 99.95 || value === 0 ? Math.round(value) : value.toFixed(1)} %`

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
