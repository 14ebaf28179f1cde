// The version number of MongoDB's collections, and the forward steps.
import { AppError } from '../../platform/errors.ts'
import type { Models } from './models.ts'

/** Step i brings version i to i + 1. Each may run twice and beside itself: several processes start at once. */
const steps: readonly ((models: Models) => Promise<void>)[] = [
  createCollections,
  createCollections,
  createCollections,
  createCollections,
  createCollections,
  createCollections,
]

/** @throws AppError `configuration` when the database is newer than this version of the product */
export async function migrate(models: Models): Promise<void> {
  const found = await models.meta.findById('schema').lean()
  const version = found?.value ?? 0
  if (version > steps.length) {
    throw new AppError(
      'configuration',
      `The database has schema version ${version}, this version of Ujumbe knows ${steps.length}: start a newer one.`,
    )
  }
  if (version === steps.length) return
  for (const step of steps.slice(version)) await step(models)
  await models.meta.updateOne({ _id: 'schema' }, { $max: { value: steps.length } }, { upsert: true })
}

/**
 * Those that are there already stay; new ones and new indexes are added. Collections are made beforehand: a transaction that makes one
 * conflicts with every other.
 */
export async function createCollections(models: Models): Promise<void> {
  for (const model of Object.values(models)) {
    await model.createCollection()
    await model.createIndexes()
  }
}
