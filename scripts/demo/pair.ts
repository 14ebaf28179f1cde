// Pairs the demo's two sessions with phones of the sandbox: one scans the QR code, the other types the pairing code.
import type { ApiClient, SessionResource } from '../support/api-client.ts'
import { ApiError } from '../support/api-client.ts'
import type { SandboxClient } from '../support/sandbox-client.ts'
import { until } from './until.ts'

export type DemoSession = SessionResource & { apiKey: string; webhookSecret?: string }

export async function pairByQr(api: ApiClient, sandbox: SandboxClient, session: DemoSession, phoneNumber: string): Promise<void> {
  const { qr } = await patiently(() => api.withKey(session.apiKey).qr(session.id))
  await sandbox.scan(phoneNumber, qr)
  await untilConnected(api, session.id)
}

export async function pairByCode(
  api: ApiClient,
  sandbox: SandboxClient,
  session: DemoSession,
  phoneNumber: string,
): Promise<void> {
  const { code } = await patiently(() => api.withKey(session.apiKey).pairingCode(session.id, phoneNumber))
  await sandbox.enterCode(phoneNumber, code)
  await untilConnected(api, session.id)
}

async function untilConnected(api: ApiClient, sessionId: string): Promise<void> {
  await until(`session ${sessionId} is connected`, async () => (await api.session(sessionId)).status === 'connected', 30_000)
}

/** The socket may not be there yet: 409 says so, and to ask again. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  let result: T | undefined
  await until(
    'the session offers its code',
    async () => {
      try {
        result = await call()
        return true
      } catch (error) {
        if (error instanceof ApiError && error.problem.status === 409) return false
        throw error
      }
    },
    30_000,
  )
  return result as T
}
