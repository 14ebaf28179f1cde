// Who may call what: pure, and the same for every route of the table.
import { AppError } from '../platform/errors.ts'
import type { Caller, Route } from './route.ts'

/**
 * The session a call is about, or null.
 * Another session's id is refused before the scope is looked at, so that it looks the same as a missing one.
 * @throws AppError `unauthorized`, `not_found`, `admin_only`, `missing_scope`, `invalid_request`
 */
export function authorize(
  route: Pick<Route, 'access' | 'target'>,
  caller: Caller | null,
  pathSessionId: string | undefined,
): string | null {
  if (route.access === 'open') return null
  if (caller === null) throw new AppError('unauthorized')
  if (caller.kind === 'session') {
    if (pathSessionId !== undefined && pathSessionId !== caller.sessionId) throw new AppError('not_found')
    if (route.access === 'admin') throw new AppError('admin_only')
    if (!caller.scopes.includes(route.access)) {
      throw new AppError('missing_scope', `This call needs the scope \`${route.access}\`, which your key lacks.`)
    }
    return route.target === 'none' ? null : caller.sessionId
  }
  if (route.target === 'session' && pathSessionId === undefined) {
    throw new AppError('invalid_request', 'An admin key must name the session: use the path under /v1/sessions/{sessionId}.')
  }
  return pathSessionId ?? null
}
