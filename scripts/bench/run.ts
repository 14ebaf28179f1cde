// `npm run bench`: every figure beside its baseline, bounded to five minutes after the devices are linked. `-- --json`, `-- --only <name>,…`, `-- --write` (docs/benchmarks).
import { existsSync, rmSync } from 'node:fs'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { quietConsole } from '../../src/platform/quiet-console.ts'
import { between } from '../support/generated-docs.ts'
import { projectRoot } from '../support/fleet.ts'
import { accepts } from './accepts.ts'
import { cpuPerMessage } from './cpu-per-message.ts'
import { idleSessions } from './idle-sessions.ts'
import { messages } from './messages.ts'
import type { Figure } from './rig/figure.ts'
import { endLeftovers } from './rig/leftovers.ts'
import { describeMachine } from './rig/machine.ts'
import { provision, type Provisioned } from './rig/provision.ts'
import { markdown, merged, terminalTable, type BenchReport, type FigureResult } from './rig/report.ts'
import { sizingTable } from './rig/sizing.ts'
import { webhookDelay } from './webhook-delay.ts'

const figures: Figure[] = [accepts, cpuPerMessage, messages, webhookDelay, idleSessions]
const limitMs = 296_000
const tooLate = 'the five minutes were over (on a machine that is busy otherwise, use --only)'
const { values: flags } = parseArgs({
  options: { json: { type: 'boolean' }, only: { type: 'string' }, write: { type: 'boolean' } },
})

async function main(): Promise<number> {
  if (!existsSync('/proc/self/stat')) throw new Error('CPU time is read from /proc: the benchmarks run on Linux.')
  const wanted = flags.only === undefined ? figures : figures.filter(({ name }) => flags.only?.split(',').includes(name))
  if (wanted.length === 0) throw new Error(`no such figure; there are ${figures.map(({ name }) => name).join(', ')}.`)
  const startedAt = performance.now()
  const report: BenchReport = { machine: describeMachine(), seconds: 0, figures: [] }
  const dir = await mkdtemp(join(tmpdir(), 'uj-bench-'))
  // Also when it is broken off; whoever writes there has been ended by then.
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  try {
    const count = Math.max(...wanted.map(({ devices }) => devices))
    const provisioned = await provision(dir, count, say)
    // Linking devices happens once, and takes from none of the figures.
    const end = performance.now() + limitMs
    for (const figure of wanted) report.figures.push(await measure(figure, provisioned, join(dir, figure.name), end))
  } finally {
    endLeftovers()
  }
  report.seconds = (performance.now() - startedAt) / 1_000
  if (flags.write) await writeDocs(report)
  process.stdout.write(flags.json ? `${JSON.stringify(report, null, 2)}\n` : `\n${terminalTable(report)}\n`)
  return report.figures.every(({ failure }) => failure === null) ? 0 : 1
}

/** Never rejects: a figure that fails says why, and the others are still measured. */
async function measure(figure: Figure, provisioned: Provisioned, dir: string, end: number): Promise<FigureResult> {
  const { name, title } = figure
  const startedAt = performance.now()
  const at = new Date().toISOString()
  const loadAtStart = Math.round((loadavg()[0] ?? 0) * 10) / 10
  const result = (rows: FigureResult['rows'], failure: string | null): FigureResult => {
    return { name, title, rows, failure, at, loadAtStart, seconds: (performance.now() - startedAt) / 1_000 }
  }
  if (startedAt > end) return result([], tooLate)
  say(`${name}: ${title}`)
  try {
    const rows = figure.run({ provisioned, dir, say: (line) => say(`${name}: ${line}`) })
    // What goes on behind it ends with this process, which measures nothing more.
    return result(await Promise.race([rows, delay(end - startedAt).then(() => Promise.reject(new Error(tooLate)))]), null)
  } catch (error) {
    return result([], (error as Error).message)
  }
}

async function writeDocs(report: BenchReport): Promise<void> {
  const [text, data] = ['benchmarks.md', 'benchmarks.json'].map((name) => join(projectRoot, 'docs', name)) as [string, string]
  const earlier = existsSync(data) ? (JSON.parse(await readFile(data, 'utf8')) as BenchReport) : null
  const order = figures.map(({ name }) => name)
  const whole = merged(earlier, report, order)
  await writeFile(data, `${JSON.stringify(whole, null, 2)}\n`)
  await writeFile(text, between(await readFile(text, 'utf8'), 'benchmarks', markdown(whole)))
  const operations = join(projectRoot, 'docs', 'operations.md')
  const sizing = sizingTable(whole)
  if (sizing !== '') await writeFile(operations, between(await readFile(operations, 'utf8'), 'sizing', sizing))
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

quietConsole()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`The benchmarks failed: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  },
)
