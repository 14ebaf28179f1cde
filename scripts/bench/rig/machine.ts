// The machine a run was made on, as far as it matters to its figures.
import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { findRedisProgram } from '../../../src/platform/embedded-redis.ts'
import { projectRoot } from '../../support/fleet.ts'

export interface Machine {
  processor: string
  cores: number
  memoryGb: number
  kernel: string
  node: string
  redis: string
}

export function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
    redis: redisVersion(),
  }
}

function redisVersion(): string {
  const program = findRedisProgram(join(projectRoot, 'data'), process.env['PATH'] ?? '')
  if (!program) return 'fetched during the run'
  const text = execFileSync(program.command, ['--version'], { encoding: 'utf8', env: { ...process.env, ...program.env } })
  return /v=(\S+)/.exec(text)?.[1] ?? 'unknown'
}
