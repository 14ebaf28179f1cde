// Messages of a session as the tabs read them.
import { request } from '../../api/request.ts'
import type { Message, Page } from '../../api/resources.ts'

export interface MessageFilter {
  status?: string
  direction?: string
  to?: string
}

export function listMessages(sessionId: string, filter: MessageFilter, signal?: AbortSignal): Promise<Page<Message>> {
  const query = new URLSearchParams({ limit: '50' })
  for (const name of ['status', 'direction', 'to'] as const) if (filter[name]) query.set(name, filter[name])
  return request('GET', `/v1/sessions/${sessionId}/messages?${query}`, signal ? { signal } : {})
}

export async function listMore(sessionId: string, filter: MessageFilter, cursor: string): Promise<Page<Message>> {
  const query = new URLSearchParams({ limit: '50', cursor })
  for (const name of ['status', 'direction', 'to'] as const) if (filter[name]) query.set(name, filter[name])
  return request('GET', `/v1/sessions/${sessionId}/messages?${query}`)
}

export function cancelMessage(message: Message): Promise<void> {
  return request('DELETE', `/v1/sessions/${message.sessionId}/messages/${message.id}`)
}

/** Statuses only move forward; an event that comes late must not move one back. */
const order = ['scheduled', 'queued', 'sending', 'failed', 'expired', 'canceled', 'sent', 'delivered', 'read', 'played']

export function newer(before: Message, after: Message): Message {
  return order.indexOf(after.status) >= order.indexOf(before.status) ? { ...before, ...after } : before
}
