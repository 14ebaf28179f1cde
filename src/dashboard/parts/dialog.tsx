// Dialogs on the browser's own <dialog>: focus stays inside, Escape closes, a click beside it does not, focus returns to where it was.
import type { ComponentChildren } from 'preact'
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { Problem } from './states.tsx'
import { useTask } from '../api/use-task.ts'

interface DialogProps {
  title: string
  onClose: () => void
  children: ComponentChildren
  isWide?: boolean
}

export function Dialog({ title, onClose, children, isWide = false }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null)
  const titleId = useId()
  // Before anything inside takes the focus.
  const [before] = useState(() => document.activeElement)
  // A layout effect: its end runs with the removal itself, so that no key press falls between the dialog and where focus was.
  useLayoutEffect(() => {
    const dialog = box.current
    if (!dialog) return
    dialog.showModal()
    return () => {
      dialog.close()
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog
      ref={box}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
    >
      <article class={isWide ? 'wide' : ''}>
        <header>
          <h2 id={titleId}>{title}</h2>
          <button type="button" class="close" aria-label="Close" onClick={onClose} />
        </header>
        {children}
      </article>
    </dialog>
  )
}

interface ConfirmProps {
  title: string
  action: string
  onConfirm: () => Promise<void>
  onClose: () => void
  children: ComponentChildren
}

/** Asks before something that cannot be taken back. */
export function Confirm({ title, action, onConfirm, onClose, children }: ConfirmProps) {
  const task = useTask(onConfirm)
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      <Problem fault={task.fault} />
      <footer>
        <button type="button" class="secondary" autoFocus onClick={onClose}>
          Keep it
        </button>
        <button
          type="button"
          class="danger"
          aria-busy={task.isBusy}
          disabled={task.isBusy}
          onClick={() => void task.run().then((done) => done && onClose())}
        >
          {action}
        </button>
      </footer>
    </Dialog>
  )
}
