// Events as they happen, over one EventSource while the page is visible; where the stream is not to be had, pages live by their own refreshing.
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { isVisible } from './is-visible.ts'
import type { LiveEvent } from './resources.ts'

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
    let timer: ReturnType<typeof setTimeout> | undefined
    const take = (message: MessageEvent<string>) => {
      const event = parse(message.data)
      if (event) handlers.current.onEvent(event)
    }
    const open = () => {
      liveState.value = 'connecting'
      source = new EventSource(address)
      source.addEventListener('open', () => {
        liveState.value = 'live'
        // One that the browser itself has opened again goes on where it was.
        if (hasMissed.current) handlers.current.onGap()
        hasMissed.current = false
      })
      source.addEventListener('error', () => {
        // The browser tries again by itself unless the answer was no stream at all.
        if (source?.readyState !== EventSource.CLOSED) {
          liveState.value = 'connecting'
          return
        }
        hasMissed.current = true
        liveState.value = 'polling'
        timer = setTimeout(open, reopenMs)
      })
      for (const type of ['message', ...wanted.split(',')]) source.addEventListener(type, take)
    }
    open()
    return () => {
      clearTimeout(timer)
      source?.close()
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
