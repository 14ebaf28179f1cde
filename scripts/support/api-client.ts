// A small typed client of the product's own REST API, for the demo, benchmarks and end-to-end tests.

export interface ApiProblem {
  status: number
  code: string
  detail: string
}

/** An answer that was not 2xx. */
export class ApiError extends Error {
  readonly problem: ApiProblem
  constructor(method: string, path: string, problem: ApiProblem) {
    super(`${method} ${path} answered ${problem.status} ${problem.code}: ${problem.detail}`)
    this.name = 'ApiError'
    this.problem = problem
  }
}

/** Every pacing setting off: for phones of the sandbox, which nobody can annoy. Takes an admin key. */
export const unpaced = { messagesPerMinute: null, perRecipientSeconds: null, newContactsPerDay: null }

export interface SessionResource {
  id: string
  displayName: string
  status: string
  statusReason?: string | null
  phoneNumber: string | null
  lid: string | null
}

export interface MessageResource {
  id: string
  sessionId: string
  direction: string
  status: string
  whatsappId: string
  type: string
  text?: { body: string }
  from?: { phoneNumber: string | null }
  to?: { phoneNumber: string | null }
  error?: { code: string; detail: string }
  timestamps: Record<string, string | null>
}

export interface Page<T> {
  data: T[]
  nextCursor: string | null
}

export class ApiClient {
  readonly baseUrl: string
  readonly key: string
  constructor(baseUrl: string, key: string) {
    this.baseUrl = baseUrl
    this.key = key
  }

  withKey(key: string): ApiClient {
    return new ApiClient(this.baseUrl, key)
  }

  /** @throws ApiError for any answer that is not 2xx */
  async call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const response = await fetch(this.baseUrl + path, {
      method,
      headers: {
        authorization: `Bearer ${this.key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    })
    const text = await response.text()
    if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T
    throw new ApiError(method, path, problemOf(response.status, text))
  }

  createSession(input: {
    displayName: string
    webhookUrl?: string
    pairingPhoneNumber?: string
    settings?: Record<string, unknown>
  }) {
    return this.call<SessionResource & { apiKey: string; webhookSecret?: string }>('POST', '/v1/sessions', input)
  }

  session(id: string) {
    return this.call<SessionResource>('GET', `/v1/sessions/${id}`)
  }

  qr(id: string) {
    return this.call<{ qr: string; expiresAt: string }>('GET', `/v1/sessions/${id}/qr`)
  }

  pairingCode(id: string, phoneNumber?: string) {
    return this.call<{ code: string; expiresAt: string }>(
      'POST',
      `/v1/sessions/${id}/pairing-code`,
      phoneNumber ? { phoneNumber } : {},
    )
  }

  sendText(to: string, text: string, options: { idempotencyKey?: string; sessionId?: string } = {}) {
    const path = options.sessionId ? `/v1/sessions/${options.sessionId}/messages` : '/v1/messages'
    const headers: Record<string, string> = options.idempotencyKey ? { 'idempotency-key': options.idempotencyKey } : {}
    return this.call<MessageResource>('POST', path, { to, type: 'text', text: { body: text } }, headers)
  }

  messages(query: string) {
    return this.call<Page<MessageResource>>('GET', `/v1/messages?${query}`)
  }
}

function problemOf(status: number, text: string): ApiProblem {
  try {
    const parsed = JSON.parse(text) as Partial<ApiProblem>
    return { status, code: parsed.code ?? 'unknown', detail: parsed.detail ?? '' }
  } catch {
    return { status, code: 'not_json', detail: text.slice(0, 200) }
  }
}
