// What a person sees while the demo runs: a live block on a terminal, plain lines when piped, nothing but JSON with --json.
import { createLogUpdate } from 'log-update'
import colors from 'picocolors'

export interface Count {
  label: string
  value: number
  total: number
}

export interface Progress {
  /** A finished step. */
  step(text: string): void
  /** The state of the step under way; drawn in place on a terminal, once a second as a line elsewhere. */
  live(counts: Count[]): void
  done(): void
}

export function createProgress(options: { quiet: boolean; terminal: boolean }): Progress {
  const startedAt = performance.now()
  const at = () => colors.dim(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)} s`)
  if (options.quiet) return { step: () => undefined, live: () => undefined, done: () => undefined }
  if (!options.terminal) {
    let lastAt = -Infinity
    return {
      step: (text) => console.log(`${at()}  ${text}`),
      live: (counts) => {
        if (performance.now() - lastAt < 1_000) return
        lastAt = performance.now()
        console.log(`${at()}    ${counts.map(({ label, value, total }) => `${label} ${value}/${total}`).join(' · ')}`)
      },
      done: () => undefined,
    }
  }
  const draw = createLogUpdate(process.stdout)
  return {
    step: (text) => {
      draw.clear()
      console.log(`${at()}  ${colors.green('✓')} ${text}`)
    },
    live: (counts) => draw(counts.map((count) => `         ${bar(count)}`).join('\n')),
    done: () => draw.clear(),
  }
}

/** `████░░░░ 120/200 read` */
function bar({ label, value, total }: Count): string {
  const width = 24
  const full = total === 0 ? 0 : Math.min(width, Math.round((value / total) * width))
  return `${colors.cyan('█'.repeat(full))}${colors.dim('░'.repeat(width - full))} ${String(value).padStart(String(total).length)}/${total} ${label}`
}
