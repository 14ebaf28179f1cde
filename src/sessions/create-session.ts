// Creates a session: it, its first key and its endpoint in one transaction, then asks the fleet to claim it.
import type { Redis } from 'ioredis'
import { newId } from '../platform/id.ts'
import { pingRedis } from '../platform/redis.ts'
import { scopes } from '../store/key-store.ts'
import type { SessionRecord, SessionSettings, SessionStore } from '../store/session-store.ts'
import { prepareEndpoint } from '../webhooks/create-endpoint.ts'
import { allEvents } from '../webhooks/endpoint.ts'
import type { GuardPolicy } from '../webhooks/guard-url.ts'
import { announceEvents, type AnnounceDeps } from '../webhooks/publish-event.ts'
import type { SecretBox } from '../webhooks/secret-box.ts'
import { newKey } from './issue-key.ts'
import { offerIntent } from './request-intent.ts'
import { prepareProxy } from './proxy.ts'
import { sessionView } from './session-view.ts'
import { newSession } from './session.ts'

interface CreateDeps extends AnnounceDeps {
  sessions: Pick<SessionStore, 'create'>
  redis: Redis
  prefix: string
  secretBox: SecretBox
  guardPolicy: GuardPolicy
}

interface CreateInput {
  displayName: string
  webhookUrl: string | null
  /** Digits. */
  pairingPhoneNumber: string | null
  settings: Partial<SessionSettings>
  metadata: Record<string, string>
}

/** The key and the secret are shown this once. */
interface CreatedSession {
  session: SessionRecord
  apiKey: string
  webhookSecret: string | null
}

/** Takes an admin. @throws AppError `url_not_allowed`, `invalid_request`, `redis_unavailable` (nothing is stored then), `store_unavailable` */
export async function createSession(deps: CreateDeps, input: CreateInput): Promise<CreatedSession> {
  const now = Date.now()
  const { webhookUrl, ...rest } = input
  const id = newId('ses')
  const wanted = input.settings.proxyUrl ?? null
  const proxy = await prepareProxy(deps, id, { wanted, current: null, isAdmin: true })
  const draft = newSession({ ...rest, settings: { ...input.settings, ...proxy }, id, now })
  const key = newKey({ sessionId: draft.id, scopes, expiresAt: null, now })
  const hook =
    webhookUrl === null ? null : await prepareEndpoint(deps, { sessionId: draft.id, url: webhookUrl, events: allEvents })
  await pingRedis(deps.redis)
  const { record: session, published } = await deps.sessions.create(
    { session: draft, key: key.record, endpoint: hook?.endpoint ?? null },
    (after) => [{ type: 'session.status', data: { session: sessionView(after) } }],
  )
  announceEvents(deps, published)
  await offerIntent(deps, session.id)
  return { session, apiKey: key.key, webhookSecret: hook?.secret ?? null }
}
