// What the figures mean for the size of a machine, as a table for docs/operations.md.
import type { BenchReport } from './report.ts'

const memory = /^memory of a worker with (\d+) sessions$/
const cpuPer1000 = (sessions: string) => `CPU of the worker per 1,000 sessions and minute, with ${sessions}`

/** Empty as long as nothing was measured that it could be made from. */
export function sizingTable({ machine, figures }: BenchReport): string {
  const rows = figures.flatMap((figure) => figure.rows)
  const productOf = (what: string) => rows.find((each) => each.what === what)?.product
  const lines = rows.flatMap(({ what, product }) => {
    const sessions = memory.exec(what)?.[1]
    const cpu = sessions === undefined ? undefined : productOf(cpuPer1000(sessions))
    if (sessions === undefined || cpu === undefined) return []
    const ofACore = (cpu * Number(sessions)) / 1_000 / 60_000
    return [`| ${sessions} | ${Math.round(product)} MB | ${(ofACore * 100).toFixed(1)} % |`]
  })
  if (lines.length === 0) return ''
  const perMessage = productOf('no webhook endpoint')
  const messages =
    perMessage === undefined
      ? ''
      : `\n\nA message costs ${perMessage.toFixed(1)} CPU-ms of all processes together: one core of this machine carries about ` +
        `${Math.floor(1_000 / perMessage / 10) * 10} a second. A webhook endpoint adds to that; see [benchmarks.md](benchmarks.md).`
  return (
    [
      `Measured on ${machine.processor}, ${machine.cores} cores. To this come API, scheduler, webhook worker and Redis: about 100 MB each.`,
      '',
      '| sessions, idle | memory of their worker | CPU of their worker, of a core |',
      '| --: | --: | --: |',
      ...lines,
    ].join('\n') + messages
  )
}
