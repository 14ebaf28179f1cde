// Writes what is generated from tables in the code: docs/errors.md, docs/health.md, README's environment table and .env.example. A test compares them.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedFiles } from './support/generated-docs.ts'

const root = join(import.meta.dirname, '..')
for (const { path, render } of generatedFiles) {
  const file = join(root, path)
  writeFileSync(
    file,
    render(() => readFileSync(file, 'utf8')),
  )
  console.log(`wrote ${path}`)
}
