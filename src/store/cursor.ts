// Opaque list cursors: the sort position of the last row given out.
import { AppError } from '../platform/errors.ts'
import type { IdPrefix } from '../platform/id.ts'

export type CursorPart = string | number
/** A whole number, any text, or an id: its prefix tells the cursor of one list from that of another. */
type CursorKind = 'number' | 'string' | `${IdPrefix}_`

export function encodeCursor(parts: CursorPart[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url')
}

/**
 * @param shape the kinds of the parts, as they were encoded
 * @throws AppError `invalid_request` for anything that `encodeCursor` did not make
 */
export function decodeCursor<const Shape extends readonly CursorKind[]>(
  text: string,
  shape: Shape,
): { [K in keyof Shape]: Shape[K] extends 'number' ? number : string } {
  const parts = parse(text)
  const fits = Array.isArray(parts) && parts.length === shape.length && parts.every((part, i) => isPart(part, shape[i]))
  if (!fits) throw badCursor()
  return parts as { [K in keyof Shape]: Shape[K] extends 'number' ? number : string }
}

function isPart(part: unknown, kind: CursorKind | undefined): boolean {
  if (kind === 'number') return Number.isSafeInteger(part)
  return typeof part === 'string' && (kind === 'string' || part.startsWith(kind ?? ''))
}

export function badCursor(path = 'cursor'): AppError {
  return new AppError('invalid_request', 'The cursor is not one that this list gave out.', {
    errors: [{ path, message: 'is not a cursor of this list' }],
  })
}

/** Of a log that had more in it than this one has: of another store, or of this one before it was put back other than by our restore. */
export function aheadOfLog(): AppError {
  return new AppError(
    'invalid_request',
    'Nothing has that place yet: it is of a log that had more in it. Begin anew without it.',
    {
      errors: [{ path: 'after', message: 'is ahead of the newest event' }],
    },
  )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}

/** Rows were asked for with `limit + 1`: the extra one only says that there are more. */
export function toPage<Row, Item>(
  rows: Row[],
  limit: number,
  toItem: (row: Row) => Item,
  position: (row: Row) => CursorPart[],
): { data: Item[]; nextCursor: string | null } {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return { data: page.map(toItem), nextCursor: rows.length > limit && last ? encodeCursor(position(last)) : null }
}
