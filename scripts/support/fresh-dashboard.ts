// The dashboard as its sources stand: built by `npm install`, and again when one of them has changed since.
import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..', '..')

export async function ensureFreshDashboard(): Promise<void> {
  const [builtAt, changedAt] = await Promise.all([
    stat(join(root, 'dist', 'dashboard', 'index.html')).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    ),
    newestChange(join(root, 'src', 'dashboard')),
  ])
  if (builtAt >= changedAt) return
  // Loaded only when it is needed: the build tool is large.
  const { buildDashboard } = await import('./dashboard-build.ts')
  await buildDashboard()
}

async function newestChange(dir: string): Promise<number> {
  const entries = await readdir(dir, { withFileTypes: true, recursive: true })
  const times = await Promise.all(
    entries.filter((entry) => entry.isFile()).map(async (entry) => (await stat(join(entry.parentPath, entry.name))).mtimeMs),
  )
  return Math.max(...times)
}
