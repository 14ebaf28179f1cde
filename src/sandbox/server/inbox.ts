// What waits for one linked device: every stanza stays until the device has acked it, and comes again at its next login.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { parseAddress } from '../wire/address.ts'
import { childOf, childrenOf } from '../wire/stanza.ts'

const maxWaiting = 100_000
const maxRemembered = 2_000

export class Inbox {
  /** In order of arrival: insertion order of the map. */
  readonly #waiting = new Map<number, BinaryNode>()
  /** `tag id` → numbers in `#waiting`. */
  readonly #byId = new Map<string, number[]>()
  /** Messages this device has had or will get, so that one sent twice reaches it once. */
  readonly #seen = new Set<string>()
  #next = 1

  get size(): number {
    return this.#waiting.size
  }

  /** Says whether the message is new to this device, and remembers it. */
  isNew(sender: string, id: string): boolean {
    const key = `${sender} ${id}`
    if (this.#seen.has(key)) return false
    this.#seen.add(key)
    if (this.#seen.size > maxRemembered) {
      for (const oldest of this.#seen) {
        this.#seen.delete(oldest)
        break
      }
    }
    return true
  }

  /** Beyond 100,000 waiting stanzas the oldest is dropped. */
  add(stanza: BinaryNode): void {
    const number = this.#next
    this.#next += 1
    this.#waiting.set(number, stanza)
    const key = keyOf(stanza.tag, stanza.attrs['id'])
    const same = this.#byId.get(key)
    if (same) same.push(number)
    else this.#byId.set(key, [number])
    if (this.#waiting.size > maxWaiting) {
      for (const oldest of this.#waiting.keys()) {
        this.#remove(oldest)
        break
      }
    }
  }

  /** All that is not acked, oldest first. */
  waiting(): BinaryNode[] {
    return [...this.#waiting.values()]
  }

  /** Takes an `<ack>` of the device. */
  acked(ack: BinaryNode): void {
    const { class: tag, id, to, type } = ack.attrs
    if (tag === undefined || id === undefined) return
    this.#settle(tag, id, to, (waiting) => tag !== 'receipt' || waiting.attrs['type'] === type)
  }

  /** Takes a `<receipt>` of the device: it acks the messages it names. */
  receipted(receipt: BinaryNode): void {
    for (const id of idsIn(receipt)) this.#settle('message', id, undefined, () => true)
  }

  #settle(tag: string, id: string, to: string | undefined, fits: (waiting: BinaryNode) => boolean): void {
    const numbers = this.#byId.get(keyOf(tag, id))
    const number = numbers?.find((each) => {
      const waiting = this.#waiting.get(each)
      return waiting !== undefined && sameUser(waiting.attrs['from'], to) && fits(waiting)
    })
    if (number !== undefined) this.#remove(number)
  }

  #remove(number: number): void {
    const stanza = this.#waiting.get(number)
    this.#waiting.delete(number)
    if (!stanza) return
    const key = keyOf(stanza.tag, stanza.attrs['id'])
    const left = (this.#byId.get(key) ?? []).filter((each) => each !== number)
    if (left.length > 0) this.#byId.set(key, left)
    else this.#byId.delete(key)
  }
}

/** A receipt may name several messages. */
export function idsIn(stanza: BinaryNode): string[] {
  const listed = childrenOf(childOf(stanza, 'list')).map((item) => item.attrs['id'])
  return [stanza.attrs['id'], ...listed].filter((id) => id !== undefined)
}

function keyOf(tag: string, id: string | undefined): string {
  return `${tag} ${id ?? ''}`
}

/** Clients name the sender with or without its device. */
function sameUser(from: string | undefined, to: string | undefined): boolean {
  if (to === undefined || from === to) return true
  const left = parseAddress(from)
  const right = parseAddress(to)
  return left !== undefined && right !== undefined && left.user === right.user
}
