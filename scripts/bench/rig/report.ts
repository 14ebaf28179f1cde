// A run as a table for the terminal and for docs/benchmarks.md.
import { isMet, type Row } from './figure.ts'
import type { Machine } from './machine.ts'

export interface FigureResult {
  name: string
  title: string
  rows: Row[]
  /** Why there are none. */
  failure: string | null
  seconds: number
}

export interface BenchReport {
  at: string
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

export function markdown({ at, machine, seconds, figures }: BenchReport): string {
  const { processor, cores, memoryGb, kernel, node, redis, loadAtStart } = machine
  const parts = figures.map(({ title, rows, failure }) => {
    if (failure !== null) return `### ${title}\nNot measured: ${failure}`
    const lines = [header, header.map((_, column) => (column === 0 ? '---' : '--:')), ...rows.map(cellsOf)]
    return `### ${title}\n${lines.map((line) => `| ${line.join(' | ')} |`).join('\n')}`
  })
  const machineLine =
    `${at.slice(0, 10)}, ${processor}, ${cores} cores, ${memoryGb} GB, Linux ${kernel}, Node ${node}, Redis ${redis}; ` +
    `load ${loadAtStart} when it began, ${Math.round(seconds)} s in all.`
  return `${machineLine}\n\n${parts.join('\n\n')}`
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
