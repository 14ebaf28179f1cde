// What processes have cost so far, as Linux counts it: CPU time of user and system, and resident memory.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const tickMs = 1_000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/** Milliseconds of CPU that these processes have used since they began. @throws Error when one of them is gone */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0)
}

function cpuMsOf(pid: number): number {
  // Fields 14 and 15 of stat, counted after the name in parentheses, which may hold spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * tickMs
}

/** Megabytes that these processes hold in memory. */
export function rssMb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const kb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return sum + Number(kb) / 1_024
  }, 0)
}
