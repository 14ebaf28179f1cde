// What stands in a page's place while there is nothing to show: loading, empty, wrong.
import type { ComponentChildren } from 'preact'
import type { Fault } from '../api/request.ts'
import type { Loaded } from '../api/use-load.ts'

function Loading({ what, rows = 4 }: { what: string; rows?: number }) {
  return (
    <div class="loading" aria-busy="true">
      <p class="unseen" role="status">
        Loading {what}…
      </p>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} class="bone" aria-hidden="true" />
      ))}
    </div>
  )
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  )
}

/** In place of what could not be loaded. */
function Broken({ fault, what, retry }: { fault: Fault; what: string; retry?: () => void }) {
  const isMissing = fault.kind === 'missing'
  return (
    <div class="empty broken" role="alert">
      <h2>{isMissing ? `There is no such ${what}` : `The ${what} could not be loaded`}</h2>
      <p>{isMissing ? 'It may have been deleted.' : fault.message}</p>
      {retry && (
        <button type="button" class="secondary" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  )
}

interface LoadProps<T> {
  of: Loaded<T>
  what: string
  rows?: number
  children: (data: T) => ComponentChildren
}

/** Data that has been loaded stays when a refresh fails, unless it is of something that is no more: a banner says how old it is. */
export function Load<T>({ of, what, rows = 4, children }: LoadProps<T>) {
  if (of.data !== undefined && of.fault?.kind !== 'missing') return <>{children(of.data)}</>
  if (of.fault) return <Broken fault={of.fault} what={what} retry={of.reload} />
  return <Loading what={what} rows={rows} />
}

export function Problem({ fault }: { fault: Fault | undefined }) {
  return (
    <p class="problem" role="alert" hidden={!fault}>
      {fault?.message}
    </p>
  )
}
