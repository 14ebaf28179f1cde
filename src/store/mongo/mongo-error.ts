// MongoDB's errors, and what they mean to a caller of the store.
import { mongo, Error as MongooseErrors } from 'mongoose'
import { AppError } from '../../platform/errors.ts'

const duplicateKey = 11_000
/** https://github.com/mongodb/specifications: the server asks for the whole transaction again. */
export const transientLabel = 'TransientTransactionError'
/** The commit was sent and its answer lost: it may be sent again. */
const unknownCommitLabel = 'UnknownTransactionCommitResult'

export function hasLabel(error: unknown, label: string): boolean {
  return error instanceof mongo.MongoError && error.hasErrorLabel(label)
}

export function isDuplicate(error: unknown): boolean {
  return error instanceof mongo.MongoServerError && error.code === duplicateKey
}

/** The server has answered, and that for good. */
export function isRefusal(error: unknown): boolean {
  return error instanceof mongo.MongoServerError && !hasLabel(error, unknownCommitLabel)
}

/** The connection broke: the server may have done it. Bulk writes wrap the error and drop its labels. */
export function isConnectionLost(error: unknown): boolean {
  return error instanceof mongo.MongoNetworkError || (error instanceof Error && error.cause instanceof mongo.MongoNetworkError)
}

/** `sent`: what to answer when it was sent and no answer came. */
export function translated(error: unknown, sent: 'store_unavailable' | 'accept_outcome_unknown'): unknown {
  if (isDuplicate(error)) return new AppError('conflict', undefined, { cause: error })
  if (isConnectionLost(error) || hasLabel(error, unknownCommitLabel)) return new AppError(sent, undefined, { cause: error })
  const isAway = error instanceof mongo.MongoError || error instanceof MongooseErrors.MongooseServerSelectionError
  return isAway ? new AppError('store_unavailable', undefined, { cause: error }) : error
}
