// Two small steps between the ports and the routes: what is missing is a 404, and what was left out is absent.
import { AppError } from '../platform/errors.ts'

/** @throws AppError `not_found` */
export function found<T>(value: T | null): T {
  if (value === null) throw new AppError('not_found')
  return value
}

/** zod says `undefined` where a field was left out; the ports want it absent. */
export function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}
