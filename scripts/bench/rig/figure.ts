// What a figure is: rows of product beside baseline, with the ratio and the goal it is held to.
import type { Provisioned } from './provision.ts'

export interface Row {
  what: string
  unit: string
  product: number
  /** Null where there is nothing to compare with. */
  baseline: number | null
  /** Product ÷ baseline, or what the row says otherwise. */
  ratio: number | null
  goal: { atMost: number } | { atLeast: number } | null
}

export interface Figure {
  name: string
  title: string
  /** How many linked devices it needs. */
  devices: number
  run(context: { provisioned: Provisioned; dir: string; say: (line: string) => void }): Promise<Row[]>
}

export function row(what: string, unit: string, product: number, baseline: number | null, goal: Row['goal'] = null): Row {
  return { what, unit, product, baseline, ratio: baseline === null ? null : product / baseline, goal }
}

/** Null when there is no goal. */
export function isMet({ ratio, product, goal }: Row): boolean | null {
  if (!goal) return null
  const value = ratio ?? product
  return 'atMost' in goal ? value <= goal.atMost : value >= goal.atLeast
}
