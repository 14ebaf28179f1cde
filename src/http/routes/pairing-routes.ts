// Pairing: the QR code as text or picture, and the pairing code. Both are secrets: whoever reads them can link.
import { toBuffer, toString } from 'qrcode'
import { z } from 'zod'
import { isoTime } from '../../platform/clock.ts'
import { findSession } from '../../sessions/edit-session.ts'
import { readQr } from '../../sessions/read-qr.ts'
import { callSession } from '../../sessions/session-command.ts'
import { isPaired } from '../../sessions/session.ts'
import { parsePhoneNumber } from '../../whatsapp/address.ts'
import { AppError } from '../../platform/errors.ts'
import { found } from '../found.ts'
import { defineRoute, sessionIdOf, type Answer, type Route } from '../route.ts'
import { phoneNumberInput } from '../schemas/field-schemas.ts'
import { pairingCodeSchema, qrSchema } from '../schemas/session-schemas.ts'

const tag = 'Pairing'
const qrWaitMs = 10_000

export const pairingRoutes: Route[] = [
  defineRoute({
    id: 'getQr',
    method: 'get',
    path: '/v1/sessions/{sessionId}/qr',
    shortPath: '/v1/qr',
    tag,
    summary: 'Get the QR code to scan',
    description: 'Waits up to 10 s for one. As text, or as a picture when asked for with `Accept`.',
    access: 'manage',
    target: 'session',
    answers: {
      200: { description: 'Valid until `expiresAt`; then ask again.', schema: qrSchema, alsoAs: ['image/png', 'image/svg+xml'] },
    },
    errors: ['session_already_paired', 'qr_not_ready', 'redis_unavailable'],
    async handle(deps, request) {
      const qr = await readQr({ ...deps, sessions: deps.store.sessions }, sessionIdOf(request), {
        waitMs: qrWaitMs,
        signal: request.untilGone(),
      })
      return drawn(found(qr), request.headers.accept ?? '')
    },
  }),
  defineRoute({
    id: 'createPairingCode',
    method: 'post',
    path: '/v1/sessions/{sessionId}/pairing-code',
    shortPath: '/v1/pairing-code',
    tag,
    summary: 'Get a code to type on the phone',
    description: 'A code still valid for that number is returned again. Without a number: for `pairingPhoneNumber`.',
    access: 'manage',
    target: 'session',
    body: z.strictObject({ phoneNumber: phoneNumberInput.optional() }),
    bodyOptional: true,
    answers: { 200: { description: 'Valid until `expiresAt`.', schema: pairingCodeSchema } },
    errors: ['session_already_paired', 'session_not_connected', 'session_busy', 'redis_unavailable'],
    async handle(deps, request) {
      const sessionId = sessionIdOf(request)
      const given = request.body.phoneNumber
      const phoneNumber = given === undefined ? null : parsePhoneNumber(given)
      const session = found(await findSession(deps.store, sessionId))
      if (isPaired(session)) throw new AppError('session_already_paired')
      if (phoneNumber === null && session.pairingPhoneNumber === null) {
        const message = 'is required: the session was created without `pairingPhoneNumber`'
        throw new AppError('invalid_request', undefined, { errors: [{ path: 'phoneNumber', message }] })
      }
      const { code, expiresAt } = await callSession(deps, sessionId, 'pairing_code', { phoneNumber })
      return { status: 200, body: { code, expiresAt: isoTime(expiresAt) } }
    },
  }),
]

async function drawn({ qr, expiresAt }: { qr: string; expiresAt: number }, accept: string): Promise<Answer> {
  const wanted = /application\/json|\*\/\*|image\/png|image\/svg\+xml/.exec(accept)?.[0]
  const headers = { Expires: new Date(expiresAt).toUTCString() }
  if (wanted === 'image/png') {
    return { status: 200, headers, raw: { type: wanted, data: await toBuffer(qr, { type: 'png', scale: 8, margin: 4 }) } }
  }
  if (wanted === 'image/svg+xml') {
    return { status: 200, headers, raw: { type: wanted, data: await toString(qr, { type: 'svg', margin: 4 }) } }
  }
  return { status: 200, body: { qr, expiresAt: isoTime(expiresAt) } }
}
