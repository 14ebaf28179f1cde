// A moment, said as people say it, with the exact time behind it.
import { now } from './clock.ts'
import { ago, ahead, atDay } from './words.ts'

export function Ago({ at, never = 'never' }: { at: string | null | undefined; never?: string }) {
  if (!at) return <span class="quiet">{never}</span>
  return (
    <time dateTime={at} title={atDay(at)}>
      {ago(at, now.value)}
    </time>
  )
}

export function Ahead({ at }: { at: string }) {
  return (
    <time dateTime={at} title={atDay(at)}>
      {ahead(at, now.value)}
    </time>
  )
}
