// MongoDB's errors, and what they mean to a caller of the store.
import { mongo } from 'mongoose'
import { AppError } from '../../platform/errors.ts'

const duplicateKey = 11_000
/** https://github.com/mongodb/specifications: the server asks for the whole transaction again. */
export const transientLabel = 'TransientTransactionError'
/** The commit was sent and its answer lost: it may be sent again. */
export const unknownCommitLabel = 'UnknownTransactionCommitResult'

export function hasLabel(error: unknown, label: string): boolean {
  return error instanceof mongo.MongoError && error.hasErrorLabel(label)
}

export function isDuplicate(error: unknown): boolean {
  return error instanceof mongo.MongoServerError && error.code === duplicateKey
}

export function translated(error: unknown): unknown {
  if (isDuplicate(error)) return new AppError('conflict', undefined, { cause: error })
  if (error instanceof mongo.MongoError) return new AppError('store_unavailable', undefined, { cause: error })
  return error
}
