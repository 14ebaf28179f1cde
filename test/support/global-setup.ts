// Before any test: a redis-server is on PATH or gets unpacked, and the dashboard is built as its sources stand.
import { delimiter, dirname, resolve } from 'node:path'
import { ensureFreshDashboard } from '../../scripts/support/fresh-dashboard.ts'
import { provideRedisProgram } from '../../src/platform/embedded-redis.ts'

export async function setup(): Promise<void> {
  await ensureFreshDashboard()
  const program = await provideRedisProgram(resolve(import.meta.dirname, '..', '..', 'data'), process.env['PATH'] ?? '')
  process.env['UJUMBE_TEST_REDIS_SERVER'] = program.command
  process.env['UJUMBE_TEST_REDIS_LIBRARIES'] = program.env['LD_LIBRARY_PATH'] ?? ''
  process.env['PATH'] = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter)
}
