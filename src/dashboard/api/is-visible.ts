// Whether anybody can see this page: a browser has six connections to a host for all of its tabs, so hidden ones keep none.
import { signal } from '@preact/signals'

export const isVisible = signal(!document.hidden)

document.addEventListener('visibilitychange', () => (isVisible.value = !document.hidden))
