// Who may call what, over all combinations of callers and routes.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { authorize } from '../../src/http/authorize.ts'
import type { Access, Caller, Target } from '../../src/http/route.ts'
import { hasCode, type ErrorCode } from '../../src/platform/errors.ts'
import { scopes } from '../../src/store/key-store.ts'

const accesses: Access[] = ['admin', ...scopes]
const anyRoute = fc.record({
  access: fc.constantFrom(...accesses),
  target: fc.constantFrom<Target>('none', 'session', 'session-or-fleet'),
})
const anySession = fc.constantFrom('ses_a', 'ses_b')
const anyKey = fc.record({
  kind: fc.constant('session' as const),
  sessionId: anySession,
  keyId: fc.constant('key_1'),
  scopes: fc.subarray([...scopes]),
  expiresAt: fc.constant(null),
})

function outcome(...args: Parameters<typeof authorize>): string | null | { code: ErrorCode } {
  try {
    return authorize(...args)
  } catch (error) {
    for (const code of ['unauthorized', 'not_found', 'admin_only', 'missing_scope', 'invalid_request'] as const) {
      if (hasCode(error, code)) return { code }
    }
    throw error
  }
}

describe('authorize', () => {
  test('a session key only ever reaches its own session', () => {
    fc.assert(
      fc.property(anyRoute, anyKey, fc.option(anySession, { nil: undefined }), (route, key, inPath) => {
        const isForeign = inPath !== undefined && inPath !== key.sessionId
        const lacksScope = !key.scopes.some((scope) => scope === route.access)
        const refusal = isForeign ? 'not_found' : route.access === 'admin' ? 'admin_only' : lacksScope ? 'missing_scope' : null
        const reached = route.target === 'none' ? null : key.sessionId
        expect(outcome(route, key, inPath)).toEqual(refusal === null ? reached : { code: refusal })
      }),
    )
  })

  test('nobody gets past a guarded route', () => {
    fc.assert(
      fc.property(anyRoute, fc.option(anySession, { nil: undefined }), (route, inPath) => {
        expect(outcome(route, null, inPath)).toEqual({ code: 'unauthorized' })
      }),
    )
  })

  test('an admin reaches every session by its name, and the fleet only where a route is made for it', () => {
    const admin: Caller = { kind: 'admin', via: 'key' }
    fc.assert(
      fc.property(anyRoute, fc.option(anySession, { nil: undefined }), (route, inPath) => {
        const isUnnamed = route.target === 'session' && inPath === undefined
        expect(outcome(route, admin, inPath)).toEqual(isUnnamed ? { code: 'invalid_request' } : (inPath ?? null))
      }),
    )
  })
})
