// The small namespaces: keepalive, activity, settings, properties, media servers, logging out.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { childOf, childrenOf, stanza } from '../../wire/stanza.ts'
import type { ServerContext, Session } from '../context.ts'
import { activate } from '../log-in.ts'
import { unlinkDevice } from '../unlink.ts'
import type { IqAnswer } from './iq.ts'

const privacySettings = {
  readreceipts: 'all',
  profile: 'all',
  status: 'all',
  online: 'all',
  last: 'all',
  groupadd: 'all',
  calladd: 'all',
}

/** Settings that are taken and kept by nobody. */
const acceptedSets = new Set([
  'urn:xmpp:whatsapp:dirty',
  'urn:xmpp:whatsapp:push',
  'urn:xmpp:whatsapp:account',
  'w:stats',
  'status',
  'disappearing_mode',
  'privacy',
  'w:profile:picture',
  'tos',
])

export function answerAccount(ctx: ServerContext, session: Session, iq: BinaryNode): IqAnswer {
  const isGet = iq.attrs['type'] === 'get'
  switch (iq.attrs['xmlns'] ?? '') {
    case 'w:p':
      return []
    case 'passive':
      return setActivity(session, iq)
    case 'privacy':
      return isGet ? [privacy()] : []
    case 'blocklist':
      // Also after a change: clients expect the list as it is then.
      return [stanza('list', { matched: 'false', dhash: 'none' })]
    case 'abt':
      return [stanza('props', { protocol: '1', hash: 'sandbox', refresh: '86400', refresh_id: '1', ab_key: 'sandbox' })]
    case 'w':
      return [stanza('props', { hash: 'sandbox', version: '1' })]
    case 'w:m':
      return mediaServers(ctx, session)
    case 'w:sync:app:state':
      return appState(iq)
    case 'w:profile:picture':
      return isGet ? 404 : []
    case 'md':
      return removeDevice(ctx, session, iq)
    default:
      return !isGet && acceptedSets.has(iq.attrs['xmlns'] ?? '') ? [] : 501
  }
}

function setActivity(session: Session, iq: BinaryNode): IqAnswer {
  if (childOf(iq, 'passive')) {
    session.connection.isActive = false
    return []
  }
  if (!childOf(iq, 'active')) return 400
  // The answer comes first, then what waited.
  queueMicrotask(() => activate(session))
  return []
}

function privacy(): BinaryNode {
  return stanza(
    'privacy',
    {},
    Object.entries(privacySettings).map(([name, value]) => stanza('category', { name, value })),
  )
}

function mediaServers(ctx: ServerContext, session: Session): IqAnswer {
  const auth = Buffer.from(`${session.state.account.phoneNumber}:${session.companion.device}`).toString('base64url')
  const attrs = { auth, ttl: '3600', auth_ttl: '3600', max_buckets: '12', is_new: '1' }
  return [stanza('media_conn', attrs, [stanza('host', { hostname: ctx.mediaHost, maxContentLengthBytes: '67108864' })])]
}

/** Nothing was ever changed on the phone: every collection stands where the client has it. */
function appState(iq: BinaryNode): IqAnswer {
  const asked = childrenOf(childOf(iq, 'sync'))
  const collections = asked.map((collection) =>
    stanza('collection', { name: collection.attrs['name'], version: collection.attrs['version'] ?? '0', type: 'result' }),
  )
  return [stanza('sync', {}, collections)]
}

/** A device logs itself out. */
function removeDevice(ctx: ServerContext, session: Session, iq: BinaryNode): IqAnswer {
  if (!childOf(iq, 'remove-companion-device')) return 501
  queueMicrotask(() => unlinkDevice(ctx, session.state, session.companion.device))
  return []
}
