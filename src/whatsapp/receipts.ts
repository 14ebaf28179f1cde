// What a receipt stanza says about messages of ours. Pure.
import { areJidsSameUser, getBinaryNodeChildren, type BinaryNode } from '@whiskeysockets/baileys'
import { kindOfJid } from './address.ts'
import type { ReceiptUpdate } from './whatsapp-client.ts'

/** `inactive` is a delivery too: to a device whose owner is not looking. `read-self` and `sender` are about our own devices. */
const statusOfType: Record<string, ReceiptUpdate['status']> = {
  delivered: 'delivered',
  inactive: 'delivered',
  read: 'read',
  played: 'played',
}

/** Null for retries, groups, and what our own devices tell each other. */
export function toReceiptUpdate(
  stanza: BinaryNode,
  me: { id: string; lid: string },
  now: number = Date.now(),
): ReceiptUpdate | null {
  const { id, from, type, t } = stanza.attrs
  const status = statusOfType[type ?? 'delivered']
  if (!id || !from || !status) return null
  const kind = kindOfJid(from)
  if (kind !== 'phone' && kind !== 'lid') return null
  if (areJidsSameUser(from, me.id) || (me.lid !== '' && areJidsSameUser(from, me.lid))) return null
  const list = Array.isArray(stanza.content) ? stanza.content.find((child) => child.tag === 'list') : undefined
  const more = getBinaryNodeChildren(list, 'item').flatMap((item) => item.attrs['id'] ?? [])
  return { whatsappIds: [id, ...more], status, at: timeOf(t, now) }
}

/** WhatsApp counts whole seconds, which would put a receipt before the send it answers; a recent one happened now. */
function timeOf(seconds: string | undefined, now: number): number {
  const at = Number(seconds) * 1000
  return Number.isFinite(at) && at > 0 && now - at > 2_000 ? at : now
}
