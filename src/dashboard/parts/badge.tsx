// Small marks of state: a word with a dot, and the health score in its ring. Never colour alone.
import type { Level } from '../api/resources.ts'
import { levelWords, type Tone } from './words.ts'

export function Badge({ tone, children }: { tone: Tone; children: string }) {
  return <span class={`badge ${tone}`}>{children}</span>
}

const radius = 15.5
const around = 2 * Math.PI * radius

interface ScoreProps {
  health: { score: number; level: Level } | null
  size?: 'small' | 'large'
}

export function Score({ health, size = 'small' }: ScoreProps) {
  const tone = health ? levelWords[health.level].tone : 'quiet'
  const label = health ? `Health ${health.score} of 100, ${levelWords[health.level].label.toLowerCase()}` : 'No health score yet'
  return (
    <span class={`score ${size} ${tone}`} role="img" aria-label={label} title={label}>
      <svg viewBox="0 0 36 36" aria-hidden="true">
        <circle class="track" cx="18" cy="18" r={radius} />
        {health && health.score > 0 && (
          <circle
            class="value"
            cx="18"
            cy="18"
            r={radius}
            stroke-dasharray={`${(around * health.score) / 100} ${around}`}
            transform="rotate(-90 18 18)"
          />
        )}
      </svg>
      <span aria-hidden="true">{health ? health.score : '–'}</span>
    </span>
  )
}
