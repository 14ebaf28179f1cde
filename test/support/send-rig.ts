// One session on a real store and a real Redis, with the send path's two ends: accepting messages and draining them.
import { pino } from 'pino'
import { unpaced } from '../../scripts/support/api-client.ts'
import { acceptMessage, type AcceptDeps } from '../../src/messages/accept-message.ts'
import { SendQueueDrain, type DrainDeps } from '../../src/messages/drain-queue.ts'
import type { MessageRequest } from '../../src/messages/message.ts'
import { writeHoldRules } from '../../src/messages/pacing-script.ts'
import { holdRulesOf } from '../../src/messages/pacing.ts'
import { SendQueues, sendQueueName } from '../../src/messages/send-queue.ts'
import { sha256Hex } from '../../src/platform/crypto.ts'
import { newId } from '../../src/platform/id.ts'
import { bullPrefix, closeRedis, connectRedis, type RedisRole } from '../../src/platform/redis.ts'
import { wakeChannel } from '../../src/sessions/session-keys.ts'
import { wakeSession, type WakeReason } from '../../src/sessions/live-session.ts'
import { newSession } from '../../src/sessions/session.ts'
import type { PublishedEvent } from '../../src/store/event-store.ts'
import type { MessageRecord, MessageStatus } from '../../src/store/message-store.ts'
import type { SessionSettings } from '../../src/store/session-store.ts'
import type { Store } from '../../src/store/store.ts'
import type { TestRedis } from './redis.ts'
import { openTestSqlite } from './store.ts'
import { waitFor } from './wait.ts'

const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' })

/** As if no text asked for one. */
const noPreviews: DrainDeps['previews'] = { previewOf: () => Promise.resolve(null) }

export interface RigDrain {
  drain: SendQueueDrain
  deadSockets: string[]
  lease: { epoch: number; trusted: boolean; isTrusted(): boolean }
}

export async function createSession(store: Store, settings: Partial<SessionSettings> = {}): Promise<string> {
  const sessionId = newId('ses')
  const session = newSession({
    id: sessionId,
    displayName: 'Clinic',
    pairingPhoneNumber: null,
    settings: { ...unpaced, ...settings },
    metadata: {},
    now: Date.now(),
  })
  const key = {
    id: newId('key'),
    sessionId,
    hash: sha256Hex(sessionId),
    prefix: 'uj_ses_x',
    expiresAt: null,
    createdAt: Date.now(),
  }
  await store.sessions.create({ session, key: { ...key, scopes: ['read'] }, endpoint: null }, () => [])
  return sessionId
}

export function textRequest(to: string, body: string, more: Partial<MessageRequest> = {}): MessageRequest {
  const content = { text: { body, linkPreview: false } }
  return {
    to,
    type: 'text',
    content,
    priority: 'normal',
    replyTo: null,
    mentions: [],
    clientReference: null,
    sendAt: null,
    expiresAt: null,
    ...more,
  }
}

export class SendRig {
  readonly store: Store
  readonly storePath: string
  readonly sessionId: string
  readonly prefix: string
  readonly published: PublishedEvent[] = []
  readonly accepting: AcceptDeps
  readonly announce = (published: PublishedEvent[]): void => void this.published.push(...published)
  #server: TestRedis
  #closers: (() => unknown)[]

  constructor(server: TestRedis, opened: Awaited<ReturnType<typeof openTestSqlite>>, sessionId: string, prefix: string) {
    this.#server = server
    this.store = opened.store
    this.storePath = opened.path
    this.sessionId = sessionId
    this.prefix = prefix
    this.#closers = [() => opened.close()]
    const redis = this.connect('producer')
    const queues = new SendQueues(redis, prefix)
    this.#closers.push(() => queues.close())
    const { sessions, messages } = this.store
    this.accepting = { sessions, messages, queues, redis, prefix, announce: this.announce, log }
  }

  connect(role: RedisRole) {
    const redis = connectRedis(this.#server.target, role, log)
    this.#closers.push(() => closeRedis(redis))
    return redis
  }

  async accept(body: string, more: Partial<MessageRequest> = {}, idempotencyKey: string | null = null): Promise<MessageRecord> {
    await waitFor('the producer connection', () => this.accepting.redis.status === 'ready')
    const request = textRequest('+254 712 345 678', body, more)
    return (await acceptMessage(this.accepting, { sessionId: this.sessionId, request, idempotencyKey })).message
  }

  async acceptMany(count: number, more: Partial<MessageRequest> = {}): Promise<MessageRecord[]> {
    const messages: MessageRecord[] = []
    for (let n = 1; n <= count; n += 1) messages.push(await this.accept(`message ${n}`, more))
    return messages
  }

  /** What an accept leaves that died between store and queue. */
  async acceptWithoutQueue(body: string, more: Partial<MessageRequest> = {}): Promise<MessageRecord> {
    await waitFor('the producer connection', () => this.accepting.redis.status === 'ready')
    const queues = { add: () => Promise.reject(new Error('died before the queue')) }
    const request = textRequest('+254 712 345 678', body, more)
    return (await acceptMessage({ ...this.accepting, queues }, { sessionId: this.sessionId, request, idempotencyKey: null }))
      .message
  }

  /** A new holder of the session, woken as a worker would be. */
  async hold(epoch: number, more: Partial<DrainDeps> = {}): Promise<RigDrain> {
    if (!(await this.store.sessions.raiseEpoch(this.sessionId, epoch))) throw new Error(`epoch ${epoch} is not higher`)
    const redis = this.connect('worker')
    const queues = new SendQueues(redis, this.prefix)
    const lease = { epoch, trusted: true, isTrusted: () => lease.trusted }
    const deadSockets: string[] = []
    const drain = new SendQueueDrain(
      {
        messages: this.store.messages,
        sessions: this.store.sessions,
        fleetPerSecond: null,
        announce: this.announce,
        queues,
        previews: noPreviews,
        incarnation: `worker-${epoch}`,
        lease,
        onSocketDead: (reason) => void deadSockets.push(reason),
        log,
        ackTimeoutMs: 20_000,
        ...more,
      },
      this.sessionId,
    )
    const subscriber = this.connect('subscriber')
    await subscriber.subscribe(wakeChannel(this.prefix, this.sessionId))
    subscriber.on('message', (_, reason) => drain.wake(reason as WakeReason))
    this.#closers.push(
      () => queues.close(),
      () => drain.close(),
    )
    return { drain, deadSockets, lease }
  }

  /** What a user does who edits the session. */
  async configure(changes: Partial<SessionSettings>): Promise<void> {
    await waitFor('the producer connection', () => this.accepting.redis.status === 'ready')
    if (!(await this.store.sessions.edit(this.sessionId, { settings: changes }))) throw new Error('the session is gone')
    await wakeSession(this.accepting.redis, this.prefix, this.sessionId, 'settings')
  }

  /** As a holder does under the settings of now. */
  async holdBack(messages: readonly { id: string }[], heldUntil: number): Promise<void> {
    const session = await this.store.sessions.get(this.sessionId)
    if (!session) throw new Error('the session is gone')
    await writeHoldRules(this.accepting.redis, this.prefix, this.sessionId, holdRulesOf(session))
    const hold = { sessionId: this.sessionId, epoch: session.epoch, heldBy: 'recipient', heldUntil } as const
    for (const { id } of messages) await this.store.messages.hold({ ...hold, id })
  }

  /** Jobs that some holder has in hand. */
  async activeCount(): Promise<number> {
    return this.accepting.redis.llen(`${bullPrefix(this.prefix)}:${sendQueueName(this.sessionId)}:active`)
  }

  async statuses(ids: readonly { id: string }[]): Promise<(MessageStatus | undefined)[]> {
    const records = await Promise.all(ids.map(({ id }) => this.store.messages.get(this.sessionId, id)))
    return records.map((record) => record?.status)
  }

  async allReach(status: MessageStatus, messages: readonly { id: string }[], deadlineMs = 20_000): Promise<void> {
    const reached = async () => (await this.statuses(messages)).every((each) => each === status)
    await waitFor(`${messages.length} messages are ${status}`, reached, deadlineMs)
  }

  /** Types of the events of one message, in order. */
  async eventsOf(message: { id: string }): Promise<string[]> {
    const events = await this.store.events.list({ sessionId: this.sessionId, afterSequence: 0, limit: 10_000 })
    return events
      .filter(({ data }) => (data['message'] as { id?: string } | undefined)?.id === message.id)
      .map(({ type }) => type)
  }

  async close(): Promise<void> {
    for (const close of this.#closers.toReversed()) await close()
  }
}

let rigCount = 0

/** `prefix`: of the fleet it belongs to; one of its own unless given. */
export async function openSendRig(
  server: TestRedis,
  settings: Partial<SessionSettings> = {},
  prefix = `rig${(rigCount += 1)}`,
): Promise<SendRig> {
  const opened = await openTestSqlite()
  return new SendRig(server, opened, await createSession(opened.store, settings), prefix)
}
