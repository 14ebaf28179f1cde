// The settings Baileys runs with, and why each differs from its defaults.
import { isJidBroadcast, isJidNewsletter, proto, type UserFacingSocketConfig, type WAVersion } from '@whiskeysockets/baileys'
import type { Dispatcher } from 'undici'
import type { Log } from '../platform/log.ts'
import { createBaileysLog } from './baileys-log.ts'
import type { SessionCaches } from './session-caches.ts'

export interface ClientConfig {
  /** `ws:` or `wss:`; certificates are always checked. */
  whatsappUrl: string
  /** Undefined: the one Baileys ships. */
  whatsappVersion: WAVersion | undefined
  markOnline: boolean
}

interface OptionParts extends Pick<UserFacingSocketConfig, 'auth' | 'makeSignalRepository' | 'getMessage' | 'agent'> {
  config: ClientConfig
  caches: SessionCaches
  /** The way of everything that is fetched beside the socket. */
  dispatcher: Dispatcher
  log: Log
}

const { HistorySyncType } = proto.HistorySync
/** They tell LIDs and privacy tokens; the others bring months of messages, which nobody reads here and everything new would wait behind. */
const wantedHistory = new Set<number | null | undefined>([HistorySyncType.INITIAL_BOOTSTRAP, HistorySyncType.NON_BLOCKING_DATA])

export function baileysOptions({ config, caches, dispatcher, log, ...parts }: OptionParts): UserFacingSocketConfig {
  return {
    ...parts,
    waWebSocketUrl: config.whatsappUrl,
    ...(config.whatsappVersion ? { version: config.whatsappVersion } : {}),
    logger: createBaileysLog(log),
    // Ours is in the socket's life. Baileys would time each frame it writes as well, with a timer and an error for each.
    connectTimeoutMs: 0,
    // Logging in asks several things one after the other, and a server that leaves one of them unanswered must not keep us out.
    defaultQueryTimeoutMs: 15_000,
    // The watchdog above is faster; this one only keeps the server from closing an idle socket.
    keepAliveIntervalMs: 25_000,
    markOnlineOnConnect: config.markOnline,
    // Own events would swallow early ack errors and receipts into `messages.upsert`.
    emitOwnEvents: false,
    syncFullHistory: false,
    // Asked without a place to fetch from, the question is whether to wait for the first part and the settings after it.
    shouldSyncHistoryMessage: ({ syncType, directPath }) => wantedHistory.has(syncType) || !directPath,
    options: { dispatcher: dispatcher as unknown as NonNullable<RequestInit['dispatcher']> },
    fireInitQueries: true,
    generateHighQualityLinkPreview: false,
    // Retries are answered from the store, by any process; a cache per socket would only grow.
    enableRecentMessageCache: false,
    maxMsgRetryCount: 5,
    // The store has retried within its own limit when a write fails; then the socket ends, and trying again would only delay that.
    transactionOpts: { maxCommitRetries: 1, delayBetweenTriesMs: 500 },
    // Nobody reads them here, and each would cost a decryption.
    shouldIgnoreJid: (jid) => isJidBroadcast(jid) === true || isJidNewsletter(jid) === true,
    userDevicesCache: caches.devices,
    msgRetryCounterCache: caches.retryCounts,
    placeholderResendCache: caches.placeholders,
    callOfferCache: caches.calls,
  }
}
