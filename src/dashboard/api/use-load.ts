// Data of a page: loaded, kept fresh while somebody looks, and kept on the screen when a refresh fails.
import { signal } from '@preact/signals'
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { Fault, reachable } from './request.ts'

export interface Loaded<T> {
  data: T | undefined
  /** Of the last try; the data before it stays. */
  fault: Fault | undefined
  reload: () => void
  /** The same for events: however many come, one load a moment later. */
  reloadSoon: () => void
  /** Changes what is shown at once, before the next load confirms it. */
  patch: (change: (data: T) => T) => void
}

/** Data on the screen that the last try could not refresh. */
interface StaleLoad {
  fault: Fault
  loadedAt: number
  reload: () => void
}

export const staleLoads = signal<readonly StaleLoad[]>([])

interface State<T> {
  key: string
  data?: T
  loadedAt?: number
  fault?: Fault | undefined
}

const soonMs = 700

/** `key` names what is loaded: another key begins anew. `everyMs`: only while the page is visible. */
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>, everyMs?: number): Loaded<T> {
  const [state, setState] = useState<State<T>>({ key })
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
        if (!ended.signal.aborted && mine === turn) setState({ key, data, loadedAt: Date.now() })
      } catch (error) {
        if (ended.signal.aborted || mine !== turn) return
        const fault = error instanceof Fault ? error : new Fault('refused', 'Something went wrong in this page. Reload it.')
        setState((before) => (before.key === key ? { ...before, fault } : { key, fault }))
      }
      if (everyMs !== undefined && !ended.signal.aborted && mine === turn && !document.hidden)
        timer = setTimeout(() => void run(), everyMs)
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
  const reload = useCallback(() => reloadNow.current.now(), [])
  const { fault, loadedAt } = state
  useEffect(() => {
    if (!isCurrent || fault === undefined || fault.kind === 'missing' || loadedAt === undefined) return
    const stale = { fault, loadedAt, reload }
    staleLoads.value = [...staleLoads.value, stale]
    return () => void (staleLoads.value = staleLoads.value.filter((each) => each !== stale))
  }, [isCurrent, fault, loadedAt])
  const isReachable = reachable.value
  useEffect(() => {
    if (isReachable && fault?.kind === 'offline') reload()
  }, [isReachable, fault])
  return {
    data: isCurrent ? state.data : undefined,
    fault: isCurrent ? fault : undefined,
    reload,
    reloadSoon: useCallback(() => reloadNow.current.soon(), []),
    patch: useCallback(
      (change) => setState((before) => (before.data === undefined ? before : { ...before, data: change(before.data) })),
      [],
    ),
  }
}
