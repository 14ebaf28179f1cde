// What the real app sends to a client it has just linked: the account's (empty) history and a key for its synchronised settings.
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import { proto } from '@whiskeysockets/baileys'
import { jidOf, resolveDevice } from './address.ts'
import { encryptedNode } from './encrypt-message.ts'
import { newMessageId } from './message-id.ts'
import type { PhoneState, PhoneWorld } from './phone-state.ts'

const compress = promisify(deflate)

/** Clients hold back all events until the history has come, some for 20 seconds. */
export async function welcomeCompanion(world: PhoneWorld, phone: PhoneState, deviceJid: string): Promise<void> {
  const address = resolveDevice(world.network, deviceJid)
  if (!address || address.device === 0) return
  const bundle = world.network.prekeyBundles([deviceJid]).get(deviceJid)
  if (!bundle) {
    world.log.warn({ jid: deviceJid }, 'phone.companion_without_keys')
    return
  }
  await phone.keys.startSession(address.signalAddress, bundle)
  const { Type } = proto.Message.ProtocolMessage
  const keyShare = { keys: [{ keyId: { keyId: randomBytes(6) }, keyData: newSyncKey() }] }
  const messages: proto.Message.IProtocolMessage[] = [
    { type: Type.APP_STATE_SYNC_KEY_SHARE, appStateSyncKeyShare: keyShare },
    { type: Type.HISTORY_SYNC_NOTIFICATION, historySyncNotification: await emptyHistory(phone) },
  ]
  for (const protocolMessage of messages) {
    const plain = Buffer.from(proto.Message.encode({ protocolMessage }).finish())
    world.network.sendFromPrimary(phone.account, {
      tag: 'message',
      attrs: { id: newMessageId(false), to: deviceJid, type: 'protocol', category: 'peer' },
      content: [await encryptedNode(phone, address.signalAddress, plain)],
    })
  }
}

function newSyncKey(): proto.Message.IAppStateSyncKeyData {
  return { keyData: randomBytes(32), timestamp: Date.now(), fingerprint: { rawId: 1, currentIndex: 0, deviceIndexes: [0] } }
}

async function emptyHistory(phone: PhoneState): Promise<proto.Message.IHistorySyncNotification> {
  const phoneNumberToLidMappings = [{ pnJid: jidOf(phone.account, 'pn'), lidJid: jidOf(phone.account, 'lid') }]
  const history = proto.HistorySync.encode({
    syncType: proto.HistorySync.HistorySyncType.INITIAL_BOOTSTRAP,
    progress: 100,
    phoneNumberToLidMappings,
  }).finish()
  const { INITIAL_BOOTSTRAP: syncType } = proto.Message.HistorySyncType
  return { syncType, progress: 100, chunkOrder: 1, initialHistBootstrapInlinePayload: await compress(history) }
}
