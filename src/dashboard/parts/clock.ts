// The time of now for everything that says "3 minutes ago": one clock for the whole page.
import { signal } from '@preact/signals'

export const now = signal(Date.now())

setInterval(() => {
  if (!document.hidden) now.value = Date.now()
}, 1_000)
document.addEventListener('visibilitychange', () => (now.value = Date.now()))
