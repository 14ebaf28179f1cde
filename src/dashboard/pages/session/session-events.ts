// The events of the session on the page: one stream, many listeners.
import { createContext } from 'preact'
import { useContext, useEffect, useRef } from 'preact/hooks'
import type { LiveEvent } from '../../api/resources.ts'

export const sessionEventTypes = [
  'session.status',
  'session.health',
  'session.restricted',
  'message.queued',
  'message.sending',
  'message.sent',
  'message.delivered',
  'message.read',
  'message.played',
  'message.failed',
  'message.expired',
  'message.canceled',
  'message.received',
  'message.reaction',
  'message.edited',
  'message.deleted',
  'webhook.disabled',
] as const

export interface SessionEvents {
  listeners: Set<(event: LiveEvent | 'gap') => void>
}

export const SessionEventsContext = createContext<SessionEvents>({ listeners: new Set() })

/** `gap`: events may have been missed. */
export function useSessionEvents(listener: (event: LiveEvent | 'gap') => void): void {
  const { listeners } = useContext(SessionEventsContext)
  const latest = useRef(listener)
  latest.current = listener
  useEffect(() => {
    const listen = (event: LiveEvent | 'gap') => latest.current(event)
    listeners.add(listen)
    return () => void listeners.delete(listen)
  }, [listeners])
}
