// The log of a process that writes its lines together: nothing of it is lost when the process ends.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const logModule = join(import.meta.dirname, '../../src/platform/log.ts')

test.each(['process.exit(0)', 'undefined', 'setTimeout(() => process.exit(0), 1)'])(
  'every line is there after %s',
  async (end) => {
    const script = `import { createLog } from ${JSON.stringify(logModule)}
    const log = createLog({ process: 'test', level: 'info', buffered: true })
    for (let n = 0; n < 2000; n += 1) log.info({ n, name: 'Ümit 🙂' }, 'a.happened')
    ${end}`
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { maxBuffer: 1e7, timeout: 30_000 })
    const lines = stdout.trimEnd().split('\n')
    const read = lines.map((line) => JSON.parse(line) as { n: number; name: string })
    // What is being written when the process exits may land behind what is flushed then: each line has its time.
    expect(read.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 2_000 }, (_, n) => n))
    expect(read.every(({ name }) => name === 'Ümit 🙂')).toBe(true)
  },
)
