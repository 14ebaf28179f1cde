// Creates and changes endpoints: address checked by the guard, secrets sealed before they reach the store.
import { AppError } from '../platform/errors.ts'
import { newId } from '../platform/id.ts'
import { offReason, type EndpointRecord, type EndpointStore } from '../store/event-store.ts'
import { checkEvents, checkHeaders, rotationMs } from './endpoint.ts'
import { openFormerSecrets, openSecrets, sealFormerSecrets, sealHeaders, sealSecret } from './endpoint-secrets.ts'
import { guardUrl, type GuardPolicy } from './guard-url.ts'
import type { SecretBox } from './secret-box.ts'
import { newWebhookSecret } from './sign.ts'

interface PrepareDeps {
  secretBox: SecretBox
  guardPolicy: GuardPolicy
}
interface EndpointDeps extends PrepareDeps {
  endpoints: EndpointStore
}

export interface EndpointInput {
  /** null: fleet-wide. */
  sessionId: string | null
  url: string
  events: readonly string[]
  headers?: Readonly<Record<string, string>> | undefined
}

/** An endpoint and its secret, which is shown this once. */
export interface NewEndpoint {
  endpoint: EndpointRecord
  secret: string
}

/**
 * A record that is not stored yet: `sessions.create` stores it together with its session.
 * @throws AppError `url_not_allowed`, `invalid_request`
 */
export async function prepareEndpoint(deps: PrepareDeps, input: EndpointInput): Promise<NewEndpoint> {
  const events = checkEvents(input.events)
  checkHeaders(input.headers ?? {})
  const url = await guardUrl(input.url, deps.guardPolicy)
  const id = newId('whk')
  const secret = newWebhookSecret()
  const now = Date.now()
  const endpoint: EndpointRecord = {
    id,
    sessionId: input.sessionId,
    url: url.href,
    events,
    sealedHeaders: sealHeaders(deps.secretBox, id, input.headers ?? {}),
    sealedSecret: sealSecret(deps.secretBox, id, secret),
    sealedPreviousSecret: null,
    previousSecretUntil: null,
    enabled: true,
    disabledReason: null,
    failingSince: null,
    failedAt: null,
    lastSuccessAt: null,
    createdAt: now,
    updatedAt: now,
  }
  return { endpoint, secret }
}

/** @throws AppError `url_not_allowed`, `invalid_request` */
export async function createEndpoint(deps: EndpointDeps, input: EndpointInput): Promise<NewEndpoint> {
  const made = await prepareEndpoint(deps, input)
  await deps.endpoints.create(made.endpoint)
  return made
}

export interface EndpointChanges {
  url?: string | undefined
  events?: readonly string[] | undefined
  /** Replaces all of them. Needed with an address of another origin where there are some. */
  headers?: Readonly<Record<string, string>> | undefined
  /** `true` also forgets why it was disabled. */
  enabled?: boolean | undefined
}

/**
 * Null when the endpoint is gone. The caller has checked that it belongs to the key.
 * @throws AppError `url_not_allowed`, `invalid_request`
 */
export async function editEndpoint(deps: EndpointDeps, id: string, changes: EndpointChanges): Promise<EndpointRecord | null> {
  const next: Parameters<EndpointStore['update']>[1] = { updatedAt: Date.now() }
  if (changes.events) next.events = checkEvents(changes.events)
  if (changes.headers) {
    checkHeaders(changes.headers)
    next.sealedHeaders = sealHeaders(deps.secretBox, id, changes.headers)
  }
  if (changes.url !== undefined) {
    const url = await guardUrl(changes.url, deps.guardPolicy)
    if (!changes.headers) requireSameOrigin(await deps.endpoints.get(id), url)
    next.url = url.href
    next.failingSince = null
  }
  if (changes.enabled === true) Object.assign(next, { enabled: true, disabledReason: null, failingSince: null })
  if (changes.enabled === false) Object.assign(next, { enabled: false, disabledReason: offReason })
  return deps.endpoints.update(id, next)
}

/** Header values are write-only: whoever may change the address shall not have them sent to a server of their own. */
function requireSameOrigin(current: EndpointRecord | null, url: URL): void {
  if (!current?.sealedHeaders || new URL(current.url).origin === url.origin) return
  const message = 'The new address is of another origin, and the endpoint has headers: give them again, or `{}` to send none.'
  throw new AppError('invalid_request', undefined, { errors: [{ path: 'headers', message }] })
}

/** A request that is repeated because its answer was lost must not take the receiver's secret away: so many former ones go on signing. */
const maxFormerSecrets = 3
const maxRotationTries = 5

/**
 * A new secret; for 24 hours deliveries are signed with the old one too, and with those before it whose own 24 hours are not over.
 * @throws AppError `not_found`, `credentials_unreadable`, `conflict` when others rotate all the time
 */
export async function rotateSecret(deps: EndpointDeps, id: string): Promise<NewEndpoint> {
  const secret = newWebhookSecret()
  for (let attempt = 0; attempt < maxRotationTries; attempt += 1) {
    const current = await deps.endpoints.get(id)
    if (!current) throw new AppError('not_found')
    const now = Date.now()
    const until = now + rotationMs
    const [retired = ''] = openSecrets(deps.secretBox, current, now)
    const former = [{ secret: retired, until }, ...openFormerSecrets(deps.secretBox, current, now)]
    const changes = {
      sealedSecret: sealSecret(deps.secretBox, id, secret),
      sealedPreviousSecret: sealFormerSecrets(deps.secretBox, id, former.slice(0, maxFormerSecrets)),
      previousSecretUntil: until,
      updatedAt: now,
    }
    const endpoint = await deps.endpoints.update(id, changes, current.sealedSecret)
    if (endpoint) return { endpoint, secret }
  }
  throw new AppError('conflict')
}
