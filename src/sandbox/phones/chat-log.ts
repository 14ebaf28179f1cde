// What one phone shows: messages in order of arrival, de-duplicated by id as the real app does, and the counts of it.
import type { ShownPreview } from './message-content.ts'
import { OrderWatch, orderMarker } from './order-watch.ts'

export type OutgoingStatus = 'pending' | 'sent' | 'delivered' | 'read' | 'failed'

export interface ShownMessage {
  id: string
  /** The other person's phone number, or a group's JID. */
  chat: string
  /** Phone number of the sender. */
  from: string
  fromMe: boolean
  type: string
  text: string
  /** Milliseconds since 1970. */
  at: number
  /** Place in the arrival order of this phone, from 1. A message that had to be sent anew keeps its first place. */
  order: number
  duplicatesSeen: number
  /** The JID it came from, device included: where its receipts go. */
  senderJid: string
  /** The group, when there is one. */
  groupJid?: string
  isRead: boolean
  status?: OutgoingStatus
  errorCode?: number
  replyTo?: string
  linkPreview?: ShownPreview
  edited?: boolean
  deleted?: boolean
  /** Phone number → emoji. */
  reactions?: Record<string, string>
}

export interface PhoneCounts {
  /** Message stanzas that arrived, repeated and unreadable ones included. */
  frames: number
  distinctIds: number
  duplicates: number
  orderViolations: number
  decryptFailures: number
}

export type Change =
  | { kind: 'reaction'; targetId: string; emoji: string }
  | { kind: 'edit'; targetId: string; text: string }
  | { kind: 'delete'; targetId: string }

type Arrival = Omit<ShownMessage, 'order' | 'duplicatesSeen' | 'isRead'>
interface Waiting {
  order: number
  highestBefore: number | undefined
}

export interface SavedChatLog {
  messages: ShownMessage[]
  seen: string[]
  counts: PhoneCounts
  lastOrder: number
}

export const maxShownMessages = 5_000
/** Ids remembered for de-duplication, far beyond the messages still shown. */
const maxSeen = 100_000
const maxWaiting = 1_000

export class ChatLog {
  readonly counts: PhoneCounts
  #messages: ShownMessage[]
  #byKey = new Map<string, ShownMessage>()
  #seen: Set<string>
  #waiting = new Map<string, Waiting>()
  #orders = new OrderWatch()
  #lastOrder: number
  #unread = 0

  constructor(saved?: SavedChatLog) {
    this.#messages = saved?.messages ?? []
    this.#seen = new Set(saved?.seen)
    this.#lastOrder = saved?.lastOrder ?? 0
    this.counts = saved?.counts ?? { frames: 0, distinctIds: 0, duplicates: 0, orderViolations: 0, decryptFailures: 0 }
    for (const message of this.#messages) {
      this.#byKey.set(messageKey(message.chat, message.from, message.id), message)
      if (!message.isRead) this.#unread += 1
      this.#checkOrder(message, undefined)
    }
  }

  /** Messages after `order`, oldest first. */
  list(afterOrder = 0, chat?: string): ShownMessage[] {
    return this.#messages.filter((message) => message.order > afterOrder && (chat === undefined || message.chat === chat))
  }

  get lastMessage(): ShownMessage | undefined {
    return this.#messages.at(-1)
  }

  get unreadCount(): number {
    return this.#unread
  }

  /** False when it had been read before. */
  markRead(message: ShownMessage): boolean {
    if (message.isRead) return false
    message.isRead = true
    this.#unread -= 1
    return true
  }

  get waitingCount(): number {
    return this.#waiting.size
  }

  find(id: string, fromMe: boolean): ShownMessage | undefined {
    return this.#messages.findLast((message) => message.id === id && message.fromMe === fromMe)
  }

  /** Moves the status of an own message forward; never back. */
  advance(id: string, status: OutgoingStatus): void {
    const message = this.find(id, true)
    if (message && rank(status) > rank(message.status)) message.status = status
  }

  /** The server refused an own message. */
  fail(id: string, errorCode: number): void {
    const message = this.find(id, true)
    if (message?.status !== 'pending') return
    message.status = 'failed'
    message.errorCode = errorCode
  }

  /** A reaction, an edit or a deletion by `from`; the latter two only change what `from` wrote. */
  change(chat: string, from: string, change: Change): void {
    const target = this.#messages.findLast((message) => message.id === change.targetId && message.chat === chat)
    if (!target) return
    if (change.kind === 'reaction') {
      const { [from]: _, ...others } = target.reactions ?? {}
      target.reactions = change.emoji === '' ? others : { ...others, [from]: change.emoji }
    } else if (target.from === from) {
      target.text = change.kind === 'edit' ? change.text : ''
      if (change.kind === 'edit') target.edited = true
      else target.deleted = true
    }
  }

  hasSeen(key: string): boolean {
    return this.#seen.has(key)
  }

  /** Notes an id that had been seen before. */
  countDuplicate(key: string): void {
    this.counts.duplicates += 1
    const shown = this.#byKey.get(key)
    if (shown) shown.duplicatesSeen += 1
  }

  /** Notes the first sight of an id; one that this phone wrote itself is no arrival. */
  markSeen(key: string, arrived = true): void {
    this.#waiting.delete(key)
    this.#seen.add(key)
    if (arrived) this.counts.distinctIds += 1
    if (this.#seen.size > maxSeen) forgetOldest(this.#seen)
  }

  /** "Waiting for this message": holds the place of one that could not be decrypted. */
  wait(key: string, lane: string): void {
    if (this.#waiting.has(key)) return
    this.#waiting.set(key, { order: ++this.#lastOrder, highestBefore: this.#orders.highest(lane) })
    if (this.#waiting.size > maxWaiting) forgetOldest(this.#waiting)
  }

  /** Shows a message whose id was not seen before. Answers whether it broke the order of its sender. */
  show(arrival: Arrival): { message: ShownMessage; brokeOrder: boolean } {
    const key = messageKey(arrival.chat, arrival.from, arrival.id)
    const waiting = this.#waiting.get(key)
    this.markSeen(key, arrival.status !== 'pending')
    const order = waiting?.order ?? ++this.#lastOrder
    const message: ShownMessage = { ...arrival, order, duplicatesSeen: 0, isRead: arrival.fromMe }
    this.#insert(message)
    this.#byKey.set(key, message)
    if (!message.isRead) this.#unread += 1
    if (this.#messages.length > maxShownMessages) this.#evictOldest()
    const brokeOrder = this.#checkOrder(message, waiting)
    if (brokeOrder) this.counts.orderViolations += 1
    return { message, brokeOrder }
  }

  save(): SavedChatLog {
    return { messages: this.#messages, seen: [...this.#seen], counts: this.counts, lastOrder: this.#lastOrder }
  }

  #evictOldest(): void {
    const oldest = this.#messages.shift()
    if (!oldest) return
    this.#byKey.delete(messageKey(oldest.chat, oldest.from, oldest.id))
    if (!oldest.isRead) this.#unread -= 1
  }

  #insert(message: ShownMessage): void {
    const last = this.#messages.at(-1)
    if (!last || last.order < message.order) {
      this.#messages.push(message)
      return
    }
    const place = this.#messages.findIndex((other) => other.order > message.order)
    this.#messages.splice(place, 0, message)
  }

  /** A healed message is judged by the place it first had, and so are those that came after it. */
  #checkOrder(message: ShownMessage, waiting: Waiting | undefined): boolean {
    const marker = orderMarker(message.text)
    if (marker === undefined) return false
    const lane = orderLane(message.chat, message.from)
    if (!waiting) return this.#orders.isLate(lane, marker)
    const lateItself = waiting.highestBefore !== undefined && marker < waiting.highestBefore
    const overtaken = this.#messages.some(
      (other) =>
        other.order > message.order &&
        other.chat === message.chat &&
        other.from === message.from &&
        (orderMarker(other.text) ?? marker) < marker,
    )
    this.#orders.isLate(lane, marker)
    return lateItself || overtaken
  }
}

export function messageKey(chat: string, from: string, id: string): string {
  return `${chat}|${from}|${id}`
}

export function orderLane(chat: string, from: string): string {
  return `${chat}|${from}`
}

const statuses: readonly OutgoingStatus[] = ['pending', 'sent', 'delivered', 'read']

function rank(status: OutgoingStatus | undefined): number {
  return statuses.indexOf(status ?? 'pending')
}

function forgetOldest(entries: Set<string> | Map<string, unknown>): void {
  const oldest = entries.keys().next().value
  if (oldest !== undefined) entries.delete(oldest)
}
