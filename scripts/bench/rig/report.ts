// A run as a table for the terminal and for docs/benchmarks.md.
import { isMet, type Row } from './figure.ts'
import type { Machine } from './machine.ts'

export interface FigureResult {
  name: string
  title: string
  rows: Row[]
  /** Why there are none. */
  failure: string | null
  at: string
  /** Runnable processes over the last minute: above the number of cores, wall-clock figures tell little. */
  loadAtStart: number
  seconds: number
}

export interface BenchReport {
  machine: Machine
  seconds: number
  figures: FigureResult[]
}

const header = ['figure', 'product', 'baseline', 'ratio', 'goal', '']

export function terminalTable({ figures }: BenchReport): string {
  const lines = figures.map((figure) => [figure.title, ...alignedRows(figure)].join('\n'))
  return lines.join('\n\n')
}

function alignedRows({ rows, failure }: FigureResult): string[] {
  if (failure !== null) return [`  not measured: ${failure}`]
  const cells = [header, ...rows.map(cellsOf)]
  const widths = header.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)))
  return cells.map((line) =>
    `  ${line.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')}`.trimEnd(),
  )
}

export function markdown({ machine, figures }: BenchReport): string {
  const { processor, cores, memoryGb, kernel, node, redis } = machine
  const parts = figures.map(({ title, rows, failure, at, loadAtStart }) => {
    if (failure !== null) return `### ${title}\nNot measured: ${failure}`
    const lines = [header, header.map((_, column) => (column === 0 ? '---' : '--:')), ...rows.map(cellsOf)]
    const table = lines.map((line) => `| ${line.join(' | ')} |`).join('\n')
    return `### ${title}\n${table}\n\nMeasured ${at.slice(0, 16).replace('T', ' ')} UTC; load of the machine when it began: ${loadAtStart}.`
  })
  const machineLine = `${processor}, ${cores} cores, ${memoryGb} GB, Linux ${kernel}, Node ${node}, Redis ${redis}.`
  return `${machineLine}\n\n${parts.join('\n\n')}`
}

/** A run of some figures takes the place of these in an earlier one on the same machine. */
export function merged(earlier: BenchReport | null, now: BenchReport, order: readonly string[]): BenchReport {
  if (JSON.stringify(earlier?.machine) !== JSON.stringify(now.machine)) return now
  const byName = new Map([...(earlier?.figures ?? []), ...now.figures].map((figure) => [figure.name, figure]))
  return { ...now, figures: order.flatMap((name) => byName.get(name) ?? []) }
}

function cellsOf(row: Row): string[] {
  const { what, unit, product, baseline, ratio, goal } = row
  const met = isMet(row)
  return [
    `${what} (${unit})`,
    number(product),
    baseline === null ? '–' : number(baseline),
    ratio === null ? '–' : ratio.toFixed(2),
    goal === null ? '' : 'atMost' in goal ? `≤ ${goal.atMost}` : `≥ ${goal.atLeast}`,
    met === null ? '' : met ? 'met' : 'missed',
  ]
}

function number(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2)
}
