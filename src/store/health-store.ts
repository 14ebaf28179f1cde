// Health samples as the store keeps them.

export interface HealthSample {
  sessionId: string
  at: number
  score: number
  level: string
  reasons: { code: string; points: number; text: string }[]
  signals: Record<string, number | string | null>
  actions: { action: string; reason: string }[]
}

export interface HealthStore {
  append(samples: HealthSample[]): Promise<void>
  latest(sessionId: string): Promise<HealthSample | null>
  /** Oldest first. */
  list(sessionId: string, since: number, limit: number): Promise<HealthSample[]>
}
