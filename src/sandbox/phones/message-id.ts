// Ids of messages that phones write, in the form of a real app's, and recognisable when a phone wrote by itself.
import { randomBytes } from 'node:crypto'

const automaticPrefix = '3A0'

/** `3A` and 18 hex digits. */
export function newMessageId(automatic: boolean): string {
  return (automatic ? automaticPrefix : '3A1') + randomBytes(9).toString('hex').slice(0, 17).toUpperCase()
}

/** Written by an automatic answer: not to be answered automatically, or two phones would never stop. */
export function isAutomaticId(id: string): boolean {
  return id.startsWith(automaticPrefix) && id.length === 20
}
