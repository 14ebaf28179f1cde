// Builds the dashboard into `dist/dashboard`: files with hashed names, which the API serves.
import { rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { build, type InlineConfig } from 'vite'

const root = resolve(import.meta.dirname, '..', '..')
const target = resolve(root, 'dist', 'dashboard')

const config = (outDir: string): InlineConfig => ({
  configFile: false,
  root: resolve(root, 'src', 'dashboard'),
  base: '/',
  publicDir: false,
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir,
    emptyOutDir: true,
    // A file in a data: address would need a looser policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2023',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    reportCompressedSize: false,
  },
})

/** Beside it first: an API that runs must never find half of it. */
export async function buildDashboard(): Promise<void> {
  const fresh = `${target}-${process.pid}`
  const old = `${fresh}-old`
  try {
    await build(config(fresh))
    await rename(target, old).catch(() => undefined)
    await rename(fresh, target)
  } finally {
    await Promise.all([fresh, old].map((dir) => rm(dir, { recursive: true, force: true })))
  }
}
