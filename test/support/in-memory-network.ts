// A network of phones alone, without sockets: for tests that look at one stanza at a time and may change it on its way.
import { jidDecode, type BinaryNode } from '@whiskeysockets/baileys'
import type { Account, PrekeyBundle, PrimaryDevice, SandboxNetwork, SnapshotPart } from '../../src/sandbox/device.ts'

export interface InMemoryNetwork extends SandboxNetwork {
  /** Every stanza that phones wrote, oldest first. */
  readonly written: BinaryNode[]
  /** Sees each delivery and may answer with another stanza, or with undefined to lose it. */
  tamper: (stanza: BinaryNode) => BinaryNode | undefined
  readonly parts: SnapshotPart[]
}

export function createInMemoryNetwork(saved: Record<string, unknown> = {}): InMemoryNetwork {
  const devices = new Map<string, PrimaryDevice>()
  const find = (user: string) => devices.get(user) ?? [...devices.values()].find(({ account }) => account.lid === user)
  const deliver = (to: string, stanza: BinaryNode) => {
    const seen = network.tamper(stanza)
    if (seen) find(jidDecode(to)?.user ?? '')?.deliver(seen)
  }
  const network: InMemoryNetwork = {
    written: [],
    parts: [],
    tamper: (stanza) => stanza,
    addPrimary: (device) => void devices.set(device.account.phoneNumber, device),
    accountOf: (user) => find(user)?.account,
    devicesOf: (user) => {
      const account = find(user)?.account
      return account ? [`${account.phoneNumber}@s.whatsapp.net`] : []
    },
    prekeyBundles: (jids) => {
      const bundles = new Map<string, PrekeyBundle>()
      for (const jid of jids) {
        const device = find(jidDecode(jid)?.user ?? '')
        if (device) bundles.set(jid, device.takePrekeyBundle())
      }
      return bundles
    },
    sendFromPrimary: (account, stanza) => {
      network.written.push(stanza)
      const { to = '', ...attrs } = stanza.attrs
      const from = fromIn(to, account)
      const t = '1700000000'
      if (stanza.tag === 'receipt') deliver(to, { ...stanza, attrs: { ...attrs, from, t } })
      if (stanza.tag !== 'message') return
      const ack = { tag: 'ack', attrs: { class: 'message', id: attrs['id'] ?? '', from: to, t } }
      devices.get(account.phoneNumber)?.deliver(ack)
      const children = Array.isArray(stanza.content) ? stanza.content : []
      const participants = children.find((child) => child.tag === 'participants')?.content
      const { device_fanout: _, ...plainAttrs } = attrs
      const direct = children.filter((child) => child.tag === 'enc')
      if (direct.length > 0) deliver(to, { tag: 'message', attrs: { ...plainAttrs, from, t }, content: direct })
      for (const target of Array.isArray(participants) ? participants : []) {
        const content = Array.isArray(target.content) ? target.content : []
        deliver(target.attrs['jid'] ?? '', { tag: 'message', attrs: { ...plainAttrs, from, t }, content })
      }
    },
    findPairingByRef: () => undefined,
    findPairingByCodeFor: () => undefined,
    unlink: () => [],
    reset: () => devices.clear(),
    keep: (part) => {
      network.parts.push(part)
      if (part.name in saved) part.restore(saved[part.name])
    },
    changed: () => undefined,
  }
  return network
}

function fromIn(to: string, account: Account): string {
  return to.endsWith('@lid') ? `${account.lid}@lid` : `${account.phoneNumber}@s.whatsapp.net`
}
