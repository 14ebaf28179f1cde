// What the API answers, as far as this page uses it.

export interface Page<T> {
  data: T[]
  nextCursor: string | null
}

export type SessionStatus = 'pending' | 'pairing' | 'connecting' | 'connected' | 'reconnecting' | 'disconnected' | 'logged_out'

export type Level = 'healthy' | 'recovering' | 'critical'

export interface Settings {
  messagesPerMinute: number | null
  burst: number | null
  perRecipientSeconds: number | null
  newContactsPerDay: number | 'warmup' | null
  typing: boolean
  maxQueueDepth: number
  markOnline: boolean
  pairingTimeoutSeconds: number
  proxyUrl?: string | null
}

export interface SessionHealth {
  score: number
  level: Level
  /** What costs most points; null while nothing does. */
  reason: Reason | null
}

export interface Session {
  id: string
  displayName: string
  status: SessionStatus
  statusReason?: string
  phoneNumber: string | null
  lid: string | null
  pushName: string | null
  restriction?: { reason: string; until: string }
  health: SessionHealth | null
  settings: Settings
  metadata: Record<string, string>
  createdAt: string
  lastConnectedAt: string | null
  lastEventAt: string | null
}

/** A line of the list of all sessions. */
export type SessionLine = Pick<
  Session,
  'id' | 'displayName' | 'status' | 'statusReason' | 'phoneNumber' | 'restriction' | 'health' | 'lastEventAt'
> & {
  /** Queued and sending. */
  queueDepth: number
}

export interface Reason {
  code: string
  points: number
  text: string
}

export interface Signals {
  state: string
  uptimePercent: number | null
  deliveryRate: number | null
  ackLatencyMsP95: number | null
  reconnectCount: number
  secondsSinceLastEvent: number | null
  heartbeatAgeSeconds: number | null
  queueDepth: number
  oldestQueuedSeconds: number | null
}

export interface HealthPoint {
  at: string
  score: number
  /** Since the point before. */
  sentCount: number | null
  receivedCount: number | null
  actions?: { action: string; reason: string }[]
}

export interface ConnectionPeriod {
  from: string
  until: string
  state: 'up' | 'down' | 'off'
}

export interface Health {
  score: number
  level: Level
  reasons: Reason[]
  signals: Signals
  connections: ConnectionPeriod[]
  history: HealthPoint[]
}

export type HealthWindow = '1h' | '24h' | '7d'

export type MessageStatus =
  | 'scheduled'
  | 'queued'
  | 'sending'
  | 'sent'
  | 'delivered'
  | 'read'
  | 'played'
  | 'failed'
  | 'expired'
  | 'canceled'
  | 'received'

export interface Address {
  input: string
  phoneNumber: string | null
  lid: string | null
  groupId?: string
}

export interface Message {
  id: string
  sessionId: string
  direction: 'inbound' | 'outbound'
  to?: Address
  from?: Address
  type: string
  text?: { body: string }
  status: MessageStatus
  whatsappId: string
  priority: 'high' | 'normal' | 'bulk'
  position: number | null
  estimatedSendAt: string | null
  heldBy?: string
  heldUntil?: string
  error?: { code: string; detail: string }
  clientReference: string | null
  sendAt?: string
  expiresAt?: string
  timestamps: Record<string, string | null | undefined>
}

/** What leaves next; the counts are of all there are, the lists are their beginnings. */
export interface Queue {
  next: Message[]
  /** Queued and sending. */
  queueDepth: number
  scheduled: Message[]
  scheduledCount: number
}

export type Scope = 'read' | 'send' | 'manage'

export interface Key {
  id: string
  prefix: string
  scopes: Scope[]
  expiresAt: string | null
  createdAt: string
}

export interface Endpoint {
  id: string
  sessionId: string | null
  url: string
  events: string[]
  hasHeaders: boolean
  enabled: boolean
  disabledReason: string | null
  failingSince: string | null
  lastSuccessAt: string | null
  previousSecretUntil: string | null
  breaker: { state: 'closed' | 'open' | 'half-open'; openUntil: string | null; consecutiveFailureCount: number } | null
  createdAt: string
}

export type DeliveryStatus = 'pending' | 'succeeded' | 'failed' | 'dead'

export interface Attempt {
  at: string
  status: number | null
  durationMs: number
  error: string | null
  answer: string | null
}

export interface TestResult {
  succeeded: boolean
  status: number | null
  durationMs: number
  error: string | null
  answer: string | null
}

export interface Delivery {
  id: string
  eventId: string
  eventType: string
  endpointId: string
  sessionId: string
  status: DeliveryStatus
  deadReason: string | null
  attemptCount: number
  nextAttemptAt: string | null
  attempts: Attempt[]
  createdAt: string
  updatedAt: string
}

export interface FleetWorker {
  incarnation: string
  host: string
  sessions: number
  capacity: number
  heartbeatAgeSeconds: number
  draining: boolean
  version: string
  takeovers: number
}

export interface Fleet {
  workers: FleetWorker[]
  totals: { sessions: number; capacity: number; unheld: number; takeovers: number }
}

/** Of the log and of the stream. */
export interface LiveEvent {
  id: string
  type: string
  timestamp: string
  sessionId: string
  sequence: number
  data: { session?: Session; message?: Message; endpoint?: Endpoint }
}
