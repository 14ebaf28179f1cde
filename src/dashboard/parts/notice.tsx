// Short notes on what was done, read out by screen readers, gone after a while.
import { signal } from '@preact/signals'

const note = signal<string | null>(null)
let timer: ReturnType<typeof setTimeout> | undefined

export function notify(text: string): void {
  clearTimeout(timer)
  note.value = text
  timer = setTimeout(() => (note.value = null), 5_000)
}

export function Notices() {
  return (
    <div class="notices" role="status">
      {note.value !== null && <p>{note.value}</p>}
    </div>
  )
}
