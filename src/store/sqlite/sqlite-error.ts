// SQLite's result codes, and what they mean to a caller of the store.
import { AppError, type ErrorCode } from '../../platform/errors.ts'

/** https://sqlite.org/rescode.html: the low byte of an extended code. */
const resultCodes = {
  busy: 5,
  locked: 6,
  readonly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  constraint: 19,
  notADb: 26,
}
const unavailable = new Set([
  resultCodes.busy,
  resultCodes.locked,
  resultCodes.readonly,
  resultCodes.ioError,
  resultCodes.corrupt,
  resultCodes.full,
  resultCodes.cannotOpen,
  resultCodes.notADb,
])

function resultCode(error: unknown): number | undefined {
  const code: unknown = error instanceof Error ? (error as { errcode?: unknown }).errcode : undefined
  return typeof code === 'number' ? code & 0xff : undefined
}

/** Another process holds the lock at this moment. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error)
  return code === resultCodes.busy || code === resultCodes.locked
}

export function translated(error: unknown, code: ErrorCode = 'store_unavailable'): unknown {
  const result = resultCode(error)
  if (result === resultCodes.constraint) return new AppError('conflict', undefined, { cause: error })
  if (result !== undefined && unavailable.has(result)) return new AppError(code, undefined, { cause: error })
  return error
}
