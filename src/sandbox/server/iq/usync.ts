// `usync`: who is on WhatsApp, under which LID, with which devices.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { formatAddress, lidServer, parseAddress, phoneServer } from '../../wire/address.ts'
import { bytesOf, childOf, childrenOf, nowSeconds, stanza } from '../../wire/stanza.ts'
import type { AccountState } from '../accounts.ts'
import type { ServerContext, Session } from '../context.ts'
import { watchDevices } from '../device-lists.ts'
import type { IqAnswer } from './iq.ts'

export function answerUsync(ctx: ServerContext, session: Session, iq: BinaryNode): IqAnswer {
  const usync = childOf(iq, 'usync')
  const query = childOf(usync, 'query')
  if (!usync || !query) return 400
  const protocols = childrenOf(query)
  const users = childrenOf(childOf(usync, 'list')).flatMap((user) => answerUser(ctx, session, user, protocols) ?? [])
  return [
    stanza('usync', { ...usync.attrs }, [
      stanza(
        'result',
        {},
        protocols.map((protocol) => stanza(protocol.tag)),
      ),
      stanza('list', {}, users),
    ]),
  ]
}

function answerUser(ctx: ServerContext, session: Session, user: BinaryNode, protocols: BinaryNode[]): BinaryNode | undefined {
  const asked = bytesOf(childOf(user, 'contact'))
  const jid = user.attrs['jid'] ?? childOf(user, 'lid')?.attrs['jid']
  const address = parseAddress(jid)
  // `+254…` from some clients, `+254…@c.us` from others.
  const digits = /^\+?(\d{5,20})(?:@c\.us|@s\.whatsapp\.net)?$/.exec(asked.toString())?.[1]
  if (!address && digits === undefined) return undefined
  const found = ctx.accounts.find(address ?? `${digits}@${phoneServer}`)
  const state = found && found.devices().length > 0 ? found : undefined
  const mode = address?.server === lidServer ? lidServer : phoneServer
  const content = protocols.flatMap((protocol) => answerProtocol(ctx, session, protocol.tag, state, asked, mode) ?? [])
  const answered = address ? formatAddress(address.user, 0, mode) : `${digits}@${phoneServer}`
  const pnJid = state && childOf(user, 'contact') ? { pn_jid: state.address(phoneServer) } : {}
  return stanza('user', { jid: answered, ...pnJid }, content)
}

function answerProtocol(
  ctx: ServerContext,
  session: Session,
  protocol: string,
  state: AccountState | undefined,
  asked: Buffer,
  mode: string,
): BinaryNode | undefined {
  switch (protocol) {
    case 'contact':
      // The content comes back byte for byte: as an address inside an address it would break decoders.
      return stanza('contact', { type: state ? 'in' : 'out' }, asked.length > 0 ? asked : undefined)
    case 'devices':
      if (state) watchDevices(ctx, session.state, state)
      return devicesOf(state)
    case 'lid':
      return state && mode === phoneServer ? stanza('lid', { val: state.address(lidServer) }) : undefined
    case 'status':
      return stanza('status', { t: '0' }, Buffer.alloc(0))
    case 'disappearing_mode':
      return stanza('disappearing_mode', { duration: '0', t: '0' })
    case 'business':
      return stanza('business')
    default:
      return undefined
  }
}

function devicesOf(state: AccountState | undefined): BinaryNode {
  const list = (state?.devices() ?? []).map((device) => {
    const index = state?.companions.get(device)?.keyIndex
    return stanza('device', { id: String(device), 'key-index': index?.toString() })
  })
  return stanza('devices', {}, [stanza('device-list', {}, list), stanza('key-index-list', { ts: nowSeconds() })])
}
