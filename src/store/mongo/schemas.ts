// The collections of MongoDB: their schemas and an index for every question that is asked of them.
import { Schema, type IndexDefinition, type IndexOptions, type SchemaDefinition } from 'mongoose'
import type { DeliveryRecord, EndpointRecord, EventRecord } from '../event-store.ts'
import type { ContactFacts, Idempotency, MessageRecord } from '../message-store.ts'
import type { ReplayRecord } from '../replay-store.ts'
import type { SessionRecord } from '../session-store.ts'

export type Doc<Record extends { id: string }> = Omit<Record, 'id'> & { _id: string }

/** `fence` rises with every write of a holder, so that each conflicts with a claim at the same moment. */
export type SessionDoc = Doc<SessionRecord> & { fence: number }
export interface CountersDoc {
  _id: string
  messageSequence: number
  eventSequence: number
  depth: number
  scheduled: number
  /** Of `depth`; the rest is normal. */
  depthHigh?: number
  depthBulk?: number
  /** Of the last event: the next one is never dated before it. */
  lastEventAt: number
}
export interface DataKeyDoc {
  _id: string
  masterKeyId: string
  wrapped: Buffer
}
export interface CredentialDoc {
  _id: string
  sessionId: string
  value: Buffer
}
export type MessageDoc = Omit<Doc<MessageRecord>, 'priority'> & {
  lane: number
  /** Only on queued and sending ones. */
  unfinished?: true
  /** Only on scheduled and queued ones. */
  waiting?: true
  idempotency?: Idempotency
}
/** `_id` is `<sessionId> <recipient>`. `knownAs`, of a LID: the recipient it is written to as; what is known of the person stands there. */
export type ContactDoc = ContactFacts & { _id: string; sessionId: string; knownAs?: string }
/** `place` orders all events; it is given after the commit. Until then the event is `unplaced`. */
export type EventDoc = Omit<Doc<EventRecord>, 'cursor'> & { place?: number; unplaced?: true }
export type EndpointDoc = Omit<Doc<EndpointRecord>, 'sealedHeaders' | 'sealedSecret' | 'sealedPreviousSecret'> & {
  sealedHeaders: Buffer | null
  sealedSecret: Buffer
  sealedPreviousSecret: Buffer | null
}
/** `open` only on pending and failed ones. */
export type DeliveryDoc = Doc<DeliveryRecord> & { open?: true }
/** `running` only on running ones. */
export type ReplayDoc = Doc<ReplayRecord> & { running?: true }
export interface MetaDoc {
  _id: string
  value: number
}

const text = { type: String, required: true }
const number = { type: Number, required: true }
const truth = { type: Boolean, required: true }
const maybeText = { type: String, default: null }
const maybeNumber = { type: Number, default: null }
const mixed = { type: Schema.Types.Mixed, required: true }
const maybeMixed = { type: Schema.Types.Mixed, default: null }
const bytes = { type: Buffer, required: true }
const maybeBytes = { type: Buffer, default: null }
const texts = { type: [String], required: true }

export interface Collection {
  fields: SchemaDefinition
  indexes: [IndexDefinition, IndexOptions?][]
}

const unfinished = { partialFilterExpression: { unfinished: true } }

const held = { partialFilterExpression: { waiting: true, heldUntil: { $gt: 0 } } }

export const collections = {
  meta: { fields: { _id: text, value: number }, indexes: [] },
  sessions: {
    fields: {
      _id: text,
      epoch: number,
      fence: number,
      status: text,
      claimable: truth,
      intent: text,
      intentRevision: number,
      deletedAt: maybeNumber,
      createdAt: number,
      updatedAt: number,
      lastEventAt: maybeNumber,
      lastConnectedAt: maybeNumber,
      statusReason: maybeText,
      phoneNumber: maybeText,
      lid: maybeText,
      pushName: maybeText,
      formerPhoneNumber: maybeText,
      network: maybeText,
      pairingPhoneNumber: maybeText,
      pairingStartedAt: maybeNumber,
      restriction: maybeMixed,
      health: maybeMixed,
      displayName: text,
      settings: mixed,
      metadata: mixed,
    },
    indexes: [[{ createdAt: -1, _id: -1 }], [{ status: 1, createdAt: -1, _id: -1 }], [{ claimable: 1, _id: 1 }]],
  },
  counters: {
    fields: {
      _id: text,
      messageSequence: number,
      eventSequence: number,
      depth: number,
      scheduled: number,
      depthHigh: Number,
      depthBulk: Number,
      lastEventAt: number,
    },
    indexes: [],
  },
  keys: {
    fields: { _id: text, sessionId: text, hash: text, prefix: text, scopes: texts, expiresAt: maybeNumber, createdAt: number },
    indexes: [[{ hash: 1 }, { unique: true }], [{ sessionId: 1, createdAt: -1, _id: -1 }]],
  },
  credentials: { fields: { _id: text, sessionId: text, value: bytes }, indexes: [[{ sessionId: 1 }]] },
  dataKeys: { fields: { _id: text, masterKeyId: text, wrapped: bytes }, indexes: [[{ masterKeyId: 1, _id: 1 }]] },
  contacts: {
    fields: {
      _id: text,
      sessionId: text,
      firstOutboundAt: maybeNumber,
      firstInboundAt: maybeNumber,
      lastInboundAt: maybeNumber,
      knownAs: { type: String },
    },
    indexes: [[{ sessionId: 1, firstOutboundAt: 1 }]],
  },
  messages: {
    fields: {
      _id: text,
      sessionId: text,
      direction: text,
      status: text,
      lane: number,
      sequence: maybeNumber,
      unfinished: Boolean,
      waiting: Boolean,
      recipient: text,
      participant: maybeText,
      whatsappId: text,
      sendAt: maybeNumber,
      expiresAt: maybeNumber,
      heldBy: maybeText,
      heldUntil: maybeNumber,
      attemptCount: number,
      createdAt: number,
      updatedAt: number,
      reachedAt: mixed,
      address: mixed,
      error: maybeMixed,
      clientReference: maybeText,
      replyTo: maybeText,
      mentions: texts,
      type: { type: String, required: true },
      content: mixed,
      idempotency: Schema.Types.Mixed,
    },
    indexes: [
      [{ sessionId: 1, createdAt: -1, _id: -1 }],
      [{ sessionId: 1, direction: 1, createdAt: -1, _id: -1 }],
      [{ sessionId: 1, status: 1, createdAt: -1, _id: -1 }],
      [{ sessionId: 1, recipient: 1, createdAt: -1, _id: -1 }],
      [{ createdAt: -1, _id: -1 }],
      [{ updatedAt: 1 }],
      [{ sessionId: 1, lane: 1, sequence: 1, heldUntil: 1, recipient: 1, updatedAt: 1 }, unfinished],
      [{ sendAt: 1, _id: 1 }, { partialFilterExpression: { status: 'scheduled' } }],
      [{ sessionId: 1, sendAt: 1, _id: 1 }, { partialFilterExpression: { status: 'scheduled' } }],
      [{ expiresAt: 1 }, { partialFilterExpression: { waiting: true } }],
      [{ sessionId: 1, heldUntil: 1 }, held],
      [{ sessionId: 1, lane: 1, recipient: 1, sequence: -1 }, held],
      // One index for both ways: a compound unique index that leaves a field out would still hold those without it.
      [{ sessionId: 1, whatsappId: 1, direction: 1, recipient: 1, participant: 1 }, { unique: true }],
      [
        { sessionId: 1, 'idempotency.key': 1 },
        { unique: true, partialFilterExpression: { 'idempotency.key': { $exists: true } } },
      ],
      [{ 'idempotency.expiresAt': 1 }, { partialFilterExpression: { 'idempotency.key': { $exists: true } } }],
    ],
  },
  events: {
    fields: {
      _id: text,
      sessionId: text,
      sequence: number,
      type: { type: String, required: true },
      at: number,
      data: mixed,
      place: Number,
      unplaced: Boolean,
    },
    indexes: [
      [{ sessionId: 1, sequence: 1 }, { unique: true }],
      [{ place: 1 }, { unique: true, partialFilterExpression: { place: { $exists: true } } }],
      [{ type: 1, place: 1 }, { partialFilterExpression: { place: { $exists: true } } }],
      [{ sessionId: 1, place: 1 }],
      [{ at: 1, sequence: 1 }, { partialFilterExpression: { unplaced: true } }],
      [{ at: 1, place: 1 }],
    ],
  },
  endpoints: {
    fields: {
      _id: text,
      sessionId: maybeText,
      url: text,
      events: texts,
      sealedHeaders: maybeBytes,
      sealedSecret: bytes,
      sealedPreviousSecret: maybeBytes,
      previousSecretUntil: maybeNumber,
      enabled: truth,
      disabledReason: maybeText,
      failingSince: maybeNumber,
      failedAt: maybeNumber,
      lastSuccessAt: maybeNumber,
      createdAt: number,
      updatedAt: number,
    },
    indexes: [[{ sessionId: 1, createdAt: -1, _id: -1 }], [{ createdAt: -1, _id: -1 }], [{ enabled: 1, disabledReason: 1 }]],
  },
  deliveries: {
    fields: {
      _id: text,
      eventId: text,
      endpointId: text,
      sessionId: text,
      eventType: text,
      replayId: maybeText,
      status: text,
      open: Boolean,
      attemptCount: number,
      nextAttemptAt: maybeNumber,
      deadReason: maybeText,
      attempts: { type: [Schema.Types.Mixed], required: true },
      createdAt: number,
      updatedAt: number,
    },
    indexes: [
      [{ endpointId: 1, _id: -1 }],
      [{ endpointId: 1, status: 1, _id: -1 }],
      [{ status: 1 }],
      [{ nextAttemptAt: 1 }, { partialFilterExpression: { open: true } }],
      [{ endpointId: 1, nextAttemptAt: 1, _id: 1 }, { partialFilterExpression: { open: true } }],
      [{ updatedAt: 1 }],
      [{ replayId: 1, status: 1 }, { partialFilterExpression: { replayId: { $gt: '' } } }],
    ],
  },
  replays: {
    fields: {
      _id: text,
      endpointId: text,
      sessionId: maybeText,
      since: number,
      until: number,
      types: texts,
      status: text,
      running: Boolean,
      place: maybeText,
      deliveryCount: number,
      createdAt: number,
      updatedAt: number,
    },
    indexes: [
      [{ endpointId: 1, _id: -1 }],
      [{ endpointId: 1 }, { unique: true, partialFilterExpression: { running: true } }],
      [{ running: 1, _id: 1 }, { partialFilterExpression: { running: true } }],
      [{ updatedAt: 1 }],
    ],
  },
  healthSamples: {
    fields: {
      sessionId: text,
      at: number,
      score: number,
      level: text,
      reasons: { type: [Schema.Types.Mixed], required: true },
      signals: mixed,
      actions: { type: [Schema.Types.Mixed], required: true },
    },
    indexes: [[{ sessionId: 1, at: 1 }], [{ at: 1 }]],
  },
} satisfies Record<string, Collection>
