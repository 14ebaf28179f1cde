// Something a person asked for: runs once at a time, and says what became of it.
import { useCallback, useRef, useState } from 'preact/hooks'
import { Fault } from './request.ts'

export interface Task<Args extends unknown[]> {
  run: (...args: Args) => Promise<boolean>
  isBusy: boolean
  fault: Fault | undefined
  forget: () => void
}

/** `run` resolves with whether it worked. A second call while one runs is ignored. */
export function useTask<Args extends unknown[]>(work: (...args: Args) => Promise<void>): Task<Args> {
  const [isBusy, setBusy] = useState(false)
  const [fault, setFault] = useState<Fault>()
  const workNow = useRef(work)
  workNow.current = work
  const running = useRef(false)
  const run = useCallback(async (...args: Args) => {
    if (running.current) return false
    running.current = true
    setBusy(true)
    setFault(undefined)
    try {
      await workNow.current(...args)
      return true
    } catch (error) {
      setFault(error instanceof Fault ? error : new Fault('refused', 'Something went wrong in this page. Reload it.'))
      return false
    } finally {
      running.current = false
      setBusy(false)
    }
  }, [])
  return { run, isBusy, fault, forget: useCallback(() => setFault(undefined), []) }
}
