// Test runs: one project per kind, so that `npx vitest run --project unit` runs that kind alone.
import { defineConfig } from 'vitest/config'

const kind = (name: string, testTimeout: number, globalSetup: string[] = []) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    hookTimeout: Math.max(60_000, testTimeout),
    globalSetup,
  },
})

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    globalSetup: ['test/support/global-setup.ts'],
    projects: [
      kind('unit', 10_000),
      kind('contract', 60_000, ['test/support/mongo-server.ts']),
      kind('integration', 60_000),
      kind('e2e', 180_000),
      kind('browser', 120_000),
    ],
  },
})
