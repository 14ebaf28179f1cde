// Records for store tests: complete, valid, and different each time.
import { newId, whatsappIdOf } from '../../src/platform/id.ts'
import type { EndpointRecord, EventDraft, EventType } from '../../src/store/event-store.ts'
import type { KeyRecord } from '../../src/store/key-store.ts'
import type { MessageRecord } from '../../src/store/message-store.ts'
import type { SessionRecord } from '../../src/store/session-store.ts'

interface NewSession {
  session: SessionRecord
  key: KeyRecord
  endpoint: EndpointRecord | null
}

export function newSession(changes: Partial<SessionRecord> = {}, endpoint: Partial<EndpointRecord> | null = null): NewSession {
  const now = changes.createdAt ?? Date.now()
  const session: SessionRecord = {
    id: newId('ses'),
    displayName: 'Clinic',
    status: 'pending',
    statusReason: null,
    phoneNumber: null,
    lid: null,
    pushName: null,
    formerPhoneNumber: null,
    restriction: null,
    health: null,
    settings: {
      messagesPerMinute: null,
      burst: null,
      perRecipientSeconds: null,
      newContactsPerDay: null,
      typing: false,
      maxQueueDepth: 10_000,
      markOnline: false,
      pairingTimeoutSeconds: 600,
      proxyUrl: null,
    },
    metadata: {},
    pairingPhoneNumber: null,
    pairingStartedAt: null,
    network: null,
    intent: 'connect',
    intentRevision: 1,
    claimable: true,
    epoch: 0,
    createdAt: now,
    updatedAt: now,
    lastConnectedAt: null,
    lastEventAt: null,
    deletedAt: null,
    ...changes,
  }
  return {
    session,
    key: newKey(session.id),
    endpoint: endpoint && newEndpoint({ sessionId: session.id, ...endpoint }),
  }
}

export function newKey(sessionId: string, changes: Partial<KeyRecord> = {}): KeyRecord {
  const id = newId('key')
  return {
    id,
    sessionId,
    hash: `hash-${id}`,
    prefix: 'uj_ses_ab',
    scopes: ['send'],
    expiresAt: null,
    createdAt: Date.now(),
    ...changes,
  }
}

export function newEndpoint(changes: Partial<EndpointRecord> = {}): EndpointRecord {
  const now = Date.now()
  return {
    id: newId('whk'),
    sessionId: null,
    url: 'https://example.com/hook',
    events: ['*'],
    sealedHeaders: null,
    sealedSecret: Uint8Array.of(1, 2, 3),
    sealedPreviousSecret: null,
    previousSecretUntil: null,
    enabled: true,
    disabledReason: null,
    failingSince: null,
    failedAt: null,
    lastSuccessAt: null,
    createdAt: now,
    updatedAt: now,
    ...changes,
  }
}

export function newMessage(sessionId: string, changes: Partial<MessageRecord> = {}): MessageRecord {
  const now = changes.createdAt ?? Date.now()
  const id = newId('msg')
  const status = changes.status ?? 'queued'
  return {
    id,
    sessionId,
    direction: 'outbound',
    address: { input: '+254 712 345 678', phoneNumber: '254712345678', lid: null, groupId: null },
    recipient: '254712345678@s.whatsapp.net',
    participant: null,
    type: 'text',
    content: { text: { body: 'Habari', linkPreview: false } },
    status,
    whatsappId: whatsappIdOf(id),
    priority: 'normal',
    sequence: null,
    sendAt: null,
    expiresAt: null,
    heldBy: null,
    heldUntil: null,
    error: null,
    clientReference: null,
    replyTo: null,
    mentions: [],
    attemptCount: 0,
    reachedAt: { [status]: now },
    createdAt: now,
    updatedAt: now,
    ...changes,
  }
}

export function newInbound(sessionId: string, whatsappId: string, changes: Partial<MessageRecord> = {}): MessageRecord {
  return newMessage(sessionId, { direction: 'inbound', status: 'received', whatsappId, ...changes })
}

/** A describe callback that makes one event of the message as it will stand. */
export function tells(type: EventType): (record: { id: string }) => EventDraft[] {
  return (record) => [{ type, data: { message: { ...record } } }]
}
export const tellsNothing = (): EventDraft[] => []
