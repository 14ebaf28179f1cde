// Events as they happen, over one EventSource while the page is visible; where the stream is not to be had, pages live by their own refreshing.
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { isVisible } from './is-visible.ts'
import type { LiveEvent } from './resources.ts'
import { takeSlot } from './stream-slots.ts'

/** `polling`: no stream, so what is shown may be some seconds old. */
export const liveState = signal<'off' | 'connecting' | 'live' | 'polling'>('off')

const reopenMs = 10_000

/** `path` null: nothing to listen to. `onGap`: events may have been missed, read anew. */
export function useLive(
  path: string | null,
  types: readonly string[],
  { onEvent, onGap }: { onEvent: (event: LiveEvent) => void; onGap: () => void },
): void {
  const handlers = useRef({ onEvent, onGap })
  handlers.current = { onEvent, onGap }
  const wanted = types.join(',')
  const address = path !== null && isVisible.value ? `${path}?types=${encodeURIComponent(wanted)}` : null
  const hasMissed = useRef(false)

  useEffect(() => {
    if (address === null) {
      hasMissed.current = true
      return
    }
    let source: EventSource | undefined
    let release: (() => void) | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    const take = (message: MessageEvent<string>) => {
      const event = parse(message.data)
      if (event) handlers.current.onEvent(event)
    }
    const close = () => {
      clearTimeout(timer)
      source?.close()
      release?.()
      source = release = undefined
    }
    const poll = () => {
      close()
      hasMissed.current = true
      liveState.value = 'polling'
    }
    const open = () => {
      clearTimeout(timer)
      liveState.value = 'connecting'
      release = takeSlot(poll)
      const stream = new EventSource(address)
      source = stream
      stream.addEventListener('open', () => {
        liveState.value = 'live'
        // One that the browser itself has opened again goes on where it was.
        if (hasMissed.current) handlers.current.onGap()
        hasMissed.current = false
      })
      stream.addEventListener('error', () => {
        // The browser tries again by itself unless the answer was no stream at all.
        if (stream.readyState !== EventSource.CLOSED) {
          liveState.value = 'connecting'
          return
        }
        poll()
        timer = setTimeout(open, reopenMs)
      })
      for (const type of ['message', ...wanted.split(',')]) stream.addEventListener(type, take)
    }
    const onFocus = () => void (source === undefined && open())
    open()
    addEventListener('focus', onFocus)
    return () => {
      removeEventListener('focus', onFocus)
      close()
      liveState.value = 'off'
    }
  }, [address, wanted])
}

function parse(data: string): LiveEvent | null {
  try {
    const event = JSON.parse(data) as LiveEvent
    return typeof event.type === 'string' ? event : null
  } catch {
    return null
  }
}
