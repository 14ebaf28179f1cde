// The measures of recovery as a table for docs/benchmarks.md, each beside what it is held to.
import type { Machine } from '../rig/machine.ts'
import type { MessageTally } from '../rig/worker-fleet.ts'
import type { Settings } from './measures.ts'

type Measured = Record<string, unknown> & { messages?: MessageTally; failure?: string }

export interface RecoveryReport {
  machine: Machine
  settings: Settings
  messagesPerSecond: number
  /** Sockets to WhatsApp that the fleet may open in a second. */
  opensPerSecond: number
  at: string
  loadAtStart: number
  results: Record<string, Measured>
}

interface Line {
  what: string
  measured: string
  goal: string
}

export function recoveryTable(report: RecoveryReport): string {
  const { machine, settings, messagesPerSecond, at, loadAtStart, results } = report
  const lines = Object.entries(results).flatMap(([name, result]) =>
    result.failure === undefined
      ? (linesOf[name]?.(result, report) ?? [])
      : [{ what: name, measured: `failed: ${result.failure}`, goal: '' }],
  )
  return [
    `${settings.sessionCount} sessions, ${settings.workerCount} workers, a lease of ${settings.ttlMs / 1_000} s, ${messagesPerSecond} messages a second, ` +
      `${settings.runCount} runs each; ${machine.processor}, ${machine.cores} cores.`,
    '',
    '| what happens | measured | goal |',
    '| --- | --- | --- |',
    ...lines.map(({ what, measured, goal }) => `| ${what} | ${measured} | ${goal} |`),
    '',
    messagesOf(Object.values(results)),
    '',
    `Measured ${at.slice(0, 16).replace('T', ' ')} UTC; load of the machine when it began: ${loadAtStart}.`,
  ].join('\n')
}

const linesOf: Record<string, (result: Measured, report: RecoveryReport) => Line[]> = {
  'cold-start': (result, { settings, opensPerSecond }) => [
    {
      what: `all ${settings.sessionCount} sessions from a cold start`,
      measured: `${seconds(result['tookMs'])}; at most ${String(result['mostOpensInOneSecond'])} sockets opened within a second`,
      goal: `≤ 60 s; ≤ ${opensPerSecond}`,
    },
  ],
  takeover: (result) => [spreadLine('kill -9 of a worker, seen by a neighbour', result, '≤ 4 s')],
  'takeover-by-ttl': (result, { settings }) => [
    spreadLine('kill -9 of a worker on another machine', result, `≤ ${settings.ttlMs / 1_000 + 3.5} s`),
  ],
  'lone-restart': (result) => [
    spreadLine('kill -9 of the only worker, with 50 sessions, started again by PM2', result, 'all ≤ 6 s'),
  ],
  handover: (result) => [spreadLine('SIGTERM: from the close of a socket to connected elsewhere', result, '≤ 1.5 s')],
  join: (result) => [
    {
      what: 'one worker more: until shares are even',
      measured: `${seconds(result['evenAfterMs'])}; ${(result['shares'] as number[]).join(', ')}; ${String(result['moved'])} sessions moved`,
      goal: '≤ 60 s; ± 15 %',
    },
  ],
  outage: (result, report) =>
    Object.entries({ '1 s': 2, '5 s': 3, '30 s': 5 }).map(([length, extraSeconds]) => {
      const { backAfterMs, cpuMsPerSession } = result[length] as { backAfterMs: number; cpuMsPerSession: number }
      const { settings, machine, opensPerSecond } = report
      const byCpu = (cpuMsPerSession * settings.sessionCount) / 1_000 / machine.cores
      const least = Math.max(byCpu, settings.sessionCount / opensPerSecond)
      return {
        what: `WhatsApp cannot be reached for ${length}: all back after its return`,
        measured: `${seconds(backAfterMs)} (${cpuMsPerSession.toFixed(0)} CPU-ms a log-in)`,
        goal: `≤ ${(least + extraSeconds).toFixed(1)} s (${least.toFixed(1)} + ${extraSeconds})`,
      }
    }),
  'half-open': (result) => [spreadLine('20 busy sockets that carry nothing any more: until noticed', result, 'all ≤ 20 s')],
  frozen: (result) => [
    {
      what: 'a worker stopped for 1.6 leases, then going on',
      measured: `${String(result['staleFrames'])} frames under an old epoch, ${String(result['conflicts'])} conflicts; all back ${seconds(result['mostMs'])} after the stop`,
      goal: '0; 0',
    },
  ],
}

function spreadLine(what: string, { p50Ms, p99Ms, mostMs, count }: Measured, goal: string): Line {
  const measured = `p50 ${seconds(p50Ms)}, p99 ${seconds(p99Ms)}, last ${seconds(mostMs)} (${String(count)} sessions)`
  return { what, measured, goal: goal.startsWith('all') ? goal : `p99 ${goal}` }
}

function messagesOf(results: readonly Measured[]): string {
  const sum = { accepted: 0, shown: 0, repeatedFrames: 0, orderViolations: 0 }
  for (const { messages } of results)
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += messages?.[name] ?? 0
  return (
    `Messages during all of this: ${sum.accepted} accepted, ${sum.shown} shown, ${sum.repeatedFrames} frames repeated (with the same id), ` +
    `${sum.orderViolations} out of order.`
  )
}

function seconds(ms: unknown): string {
  return typeof ms === 'number' ? `${(ms / 1_000).toFixed(1)} s` : '–'
}
