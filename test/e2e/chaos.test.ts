// The short profile of the chaos run: a whole fleet, every kind of fault that fits into a minute and a half, one seed.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runChaos } from '../../scripts/chaos/chaos.ts'

const seed = Number(process.env['CHAOS_SEED'] ?? 7)

test(`whatever happens to the fleet, nothing is lost, doubled or reordered (seed ${seed})`, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'uj-chaos-'))
  const lines: string[] = []
  const result = await runChaos({
    seed,
    minutes: 1.5,
    sessionCount: 12,
    workerCount: 3,
    perSecond: 10,
    leaseTtlMs: 6_000,
    dataDir,
    progress: (line) => lines.push(line),
  })
  expect(result.violations, [...lines, ...result.stories].join('\n')).toEqual([])
  expect(result.accepted).toBeGreaterThan(200)
  const hits = Object.values(result.faults).filter(({ hit }) => hit > 0)
  expect(hits.length, JSON.stringify(result.faults)).toBeGreaterThan(10)
  await rm(dataDir, { recursive: true, force: true })
}, 480_000)
