// Data of a page: loaded, kept fresh while somebody looks, and kept on the screen when a refresh fails.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { Fault } from './request.ts'

export interface Loaded<T> {
  data: T | undefined
  /** Of the last try; the data before it stays. */
  fault: Fault | undefined
  isLoading: boolean
  reload: () => void
  /** The same for events: however many come, one load a moment later. */
  reloadSoon: () => void
  /** Changes what is shown at once, before the next load confirms it. */
  patch: (change: (data: T) => T) => void
}

const soonMs = 700

/** `key` names what is loaded: another key begins anew. `everyMs`: only while the page is visible. */
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>, everyMs?: number): Loaded<T> {
  const [state, setState] = useState<{ key: string; data?: T; fault?: Fault | undefined }>({ key })
  const loadNow = useRef(load)
  loadNow.current = load
  const reloadNow = useRef<{ now: () => void; soon: () => void }>({ now: () => {}, soon: () => {} })

  useEffect(() => {
    const ended = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let soon: ReturnType<typeof setTimeout> | undefined
    let turn = 0
    const run = async () => {
      clearTimeout(timer)
      clearTimeout(soon)
      soon = undefined
      const mine = ++turn
      try {
        const data = await loadNow.current(ended.signal)
        if (!ended.signal.aborted && mine === turn) setState({ key, data })
      } catch (error) {
        if (ended.signal.aborted || mine !== turn) return
        const fault = error instanceof Fault ? error : new Fault('refused', 'Something went wrong in this page. Reload it.')
        setState((before) => (before.key === key ? { ...before, fault } : { key, fault }))
      }
      if (everyMs !== undefined && !ended.signal.aborted && mine === turn && !document.hidden) timer = setTimeout(run, everyMs)
    }
    const onVisible = () => void (!document.hidden && everyMs !== undefined && run())
    reloadNow.current = { now: () => void run(), soon: () => void (soon ??= setTimeout(() => void run(), soonMs)) }
    void run()
    document.addEventListener('visibilitychange', onVisible)
    addEventListener('online', onVisible)
    return () => {
      ended.abort()
      clearTimeout(timer)
      clearTimeout(soon)
      document.removeEventListener('visibilitychange', onVisible)
      removeEventListener('online', onVisible)
    }
  }, [key, everyMs])

  const isCurrent = state.key === key
  return {
    data: isCurrent ? state.data : undefined,
    fault: isCurrent ? state.fault : undefined,
    isLoading: !isCurrent || (state.data === undefined && state.fault === undefined),
    reload: useCallback(() => reloadNow.current.now(), []),
    reloadSoon: useCallback(() => reloadNow.current.soon(), []),
    patch: useCallback(
      (change) => setState((before) => (before.data === undefined ? before : { ...before, data: change(before.data) })),
      [],
    ),
  }
}
