// Asking the API: JSON in and out; whatever goes wrong becomes a Fault with a sentence for people.
import { signal } from '@preact/signals'

export type FaultKind = 'offline' | 'signed_out' | 'missing' | 'refused' | 'busy'

interface Problem {
  code?: string
  detail?: string
  errors?: { path: string; message: string }[]
}

export class Fault extends Error {
  readonly kind: FaultKind
  readonly code: string
  /** What was wrong with which field. */
  readonly fields: { path: string; message: string }[]
  readonly retryAfterMs: number

  constructor(
    kind: FaultKind,
    sentence: string,
    rest: { code?: string; fields?: Problem['errors']; retryAfterMs?: number } = {},
  ) {
    super(sentence)
    this.name = 'Fault'
    this.kind = kind
    this.code = rest.code ?? kind
    this.fields = rest.fields ?? []
    this.retryAfterMs = rest.retryAfterMs ?? 2_000
  }
}

/** `unknown` until the first answer. The key itself is never kept: the browser holds a cookie that scripts cannot read. */
export const signedIn = signal<'unknown' | 'yes' | 'no'>('unknown')
/** Whether anything answers, be it only that it cannot. */
export const reachable = signal(true)
/** When the API last gave what it was asked for. */
export const lastAnswerAt = signal<number | null>(null)

const timeoutMs = 20_000

interface RequestOptions {
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** @throws Fault */
export async function request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
  const response = await ask(method, path, options)
  const text = await response.text().catch(() => '')
  if (!response.ok) throw faultOf(response, text)
  const answer = (text === '' ? undefined : JSON.parse(text)) as T
  if (path.startsWith('/v1/')) lastAnswerAt.value = Date.now()
  return answer
}

async function ask(method: string, path: string, { body, headers, signal: abort }: RequestOptions): Promise<Response> {
  const deadline = AbortSignal.timeout(timeoutMs)
  let response: Response
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      headers: {
        Accept: 'application/json',
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: abort ? AbortSignal.any([abort, deadline]) : deadline,
    })
  } catch (error) {
    if (abort?.aborted) throw error
    reachable.value = false
    throw new Fault('offline', 'Ujumbe does not answer. Check that it is running and that you are online.')
  }
  reachable.value = true
  if (response.status === 401) signedIn.value = 'no'
  else if (path.startsWith('/v1/')) signedIn.value = 'yes'
  return response
}

function faultOf(response: Response, text: string): Fault {
  const { code, detail, errors } = problemOf(text)
  // A proxy may have put a date or nonsense there.
  const retryAfterSeconds = Number(response.headers.get('Retry-After') ?? '2') || 2
  const retryAfterMs = retryAfterSeconds * 1_000
  const rest = { ...(code ? { code } : {}), fields: errors ?? [], retryAfterMs }
  if (response.status === 401) return new Fault('signed_out', 'You are signed out. Sign in again.', rest)
  if (response.status === 404) return new Fault('missing', detail ?? 'There is nothing here.', rest)
  if (response.status === 429 || response.status === 503)
    return new Fault('busy', detail ?? 'Ujumbe is busy. Try again in a moment.', rest)
  return new Fault('refused', sentenceOf(detail, errors) ?? `Ujumbe answered with an error (${response.status}).`, rest)
}

function problemOf(text: string): Problem {
  try {
    return JSON.parse(text) as Problem
  } catch {
    return {}
  }
}

/** The faults of the fields say more than the sentence that points to them. */
function sentenceOf(detail: string | undefined, errors: Problem['errors']): string | undefined {
  if (!errors?.length) return detail
  return errors.map(({ path, message }) => (path === '' ? message : `${labelOf(path)} ${message}`)).join('. ') + '.'
}

function labelOf(path: string): string {
  const name = (path.split('.').findLast((part) => !/^\d+$/.test(part)) ?? path).replace(/([A-Z])/g, ' $1').toLowerCase()
  return name.charAt(0).toUpperCase() + name.slice(1)
}

/** @throws Fault; `refused` when it is not the admin key. */
export async function signIn(key: string): Promise<void> {
  let response: Response
  try {
    response = await fetch('/sign-in', {
      method: 'POST',
      credentials: 'same-origin',
      redirect: 'manual',
      headers: { Accept: 'application/json', 'Content-Type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ key }),
      signal: AbortSignal.timeout(timeoutMs),
    })
  } catch {
    throw new Fault('offline', 'Ujumbe does not answer. Check that it is running and that you are online.')
  }
  // Success is a redirect, which a script may not look into.
  if (response.type === 'opaqueredirect' || response.ok) {
    signedIn.value = 'yes'
    return
  }
  if (response.status === 429) throw new Fault('busy', 'Too many wrong keys. Wait a minute, then try again.')
  if (response.status === 401) throw new Fault('refused', 'This is not the admin key.')
  throw faultOf(response, await response.text().catch(() => ''))
}

export async function signOut(): Promise<void> {
  await fetch('/sign-out', { method: 'POST', credentials: 'same-origin', redirect: 'manual' }).catch(() => undefined)
  signedIn.value = 'no'
}
