// The models over one connection to MongoDB: made from the collections' schemas, with every field checked.
import { Schema, type Connection, type Model } from 'mongoose'
import type { HealthSample } from '../health-store.ts'
import type { KeyRecord } from '../key-store.ts'
import {
  collections,
  type Collection,
  type ContactDoc,
  type CountersDoc,
  type CredentialDoc,
  type DataKeyDoc,
  type DeliveryDoc,
  type Doc,
  type EndpointDoc,
  type EventDoc,
  type MessageDoc,
  type MetaDoc,
  type ReplayDoc,
  type SessionDoc,
} from './schemas.ts'

export interface Models {
  meta: Model<MetaDoc>
  sessions: Model<SessionDoc>
  counters: Model<CountersDoc>
  keys: Model<Doc<KeyRecord>>
  credentials: Model<CredentialDoc>
  dataKeys: Model<DataKeyDoc>
  contacts: Model<ContactDoc>
  messages: Model<MessageDoc>
  events: Model<EventDoc>
  endpoints: Model<EndpointDoc>
  deliveries: Model<DeliveryDoc>
  replays: Model<ReplayDoc>
  healthSamples: Model<HealthSample>
}

export function createModels(connection: Connection): Models {
  const options = { versionKey: false as const, minimize: false, autoIndex: false, autoCreate: false, strict: 'throw' as const }
  const model = <T>(name: keyof Models): Model<T> => {
    const { fields, indexes }: Collection = collections[name]
    const schema = new Schema(fields, { ...options, collection: name })
    for (const [keys, indexOptions] of indexes) schema.index(keys, indexOptions)
    return connection.model<T>(name, schema)
  }
  return {
    meta: model('meta'),
    sessions: model('sessions'),
    counters: model('counters'),
    keys: model('keys'),
    credentials: model('credentials'),
    dataKeys: model('dataKeys'),
    contacts: model('contacts'),
    messages: model('messages'),
    events: model('events'),
    endpoints: model('endpoints'),
    deliveries: model('deliveries'),
    replays: model('replays'),
    healthSamples: model('healthSamples'),
  }
}
