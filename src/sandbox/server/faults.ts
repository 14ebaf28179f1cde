// The faults that were asked for: which stand, whom they concern, and what they mean for one connection.
import { z } from 'zod'

const scope = {
  sessions: z
    .union([
      z.literal('all'),
      z
        .array(z.string().regex(/^\d{5,20}$/, 'digits only'))
        .min(1)
        .max(10_000),
    ])
    .default('all'),
}
/** How often it happens before the fault ends by itself; without it, until it is cleared. */
const count = { count: z.int().min(1).max(1_000_000).optional() }
const until = z.union([z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)), z.int().min(0)])

/** The body of `POST /faults`. `close`, `reset`, `stream_error` and `conflict` strike open sockets once; the others stand. */
export const faultSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('close'), ...scope }),
  z.strictObject({ kind: z.literal('reset'), ...scope }),
  z.strictObject({ kind: z.literal('stall'), ...scope }),
  z.strictObject({
    kind: z.literal('latency'),
    ms: z.int().min(0).max(600_000),
    jitterMs: z.int().min(0).max(600_000).default(0),
    ...scope,
  }),
  z.strictObject({ kind: z.literal('drop_acks'), ...count, ...scope }),
  z.strictObject({ kind: z.literal('ack_error'), code: z.int().min(1).max(999), ...count, ...scope }),
  z.strictObject({ kind: z.literal('stream_error'), code: z.int().min(1).max(999), ...scope }),
  z.strictObject({ kind: z.literal('conflict'), ...scope }),
  z.strictObject({ kind: z.literal('refuse_connections'), ...scope }),
  z.strictObject({ kind: z.literal('login_failure'), code: z.int().min(1).max(999), ...count, ...scope }),
  z.strictObject({ kind: z.literal('restrict'), until, ...scope }),
  /** Phones have lost their keys for these accounts' devices, and ask for the next message once more; for none twice. */
  z.strictObject({ kind: z.literal('undecryptable'), ...count, ...scope }),
])

export type Fault = z.infer<typeof faultSchema>
export type FaultInput = z.input<typeof faultSchema>
export type InstantFault = Extract<Fault, { kind: 'close' | 'reset' | 'stream_error' | 'conflict' }>
export type StandingFault = Exclude<Fault, InstantFault>

/** What the server does when faults change; registered once. */
export interface FaultTarget {
  /** Strikes the open sockets of `phoneNumbers` (all, when undefined); answers how many there were. */
  strike(fault: InstantFault, phoneNumbers: ReadonlySet<string> | undefined): number
  /** The standing faults changed: stalls may begin or end. Answers how many open sockets `fault` concerns. */
  reconsider(fault: StandingFault | undefined, phoneNumbers: ReadonlySet<string> | undefined): number
}

interface Standing {
  fault: StandingFault
  phoneNumbers: ReadonlySet<string> | undefined
  left: number
}

export class Faults {
  #standing: Standing[] = []
  #target: FaultTarget | undefined

  attach(target: FaultTarget): void {
    this.#target = target
  }

  /** Strikes at once, or lets the fault stand; one of the same kind and scope is replaced. Answers how many open sockets it concerns. */
  set(fault: Fault): number {
    const phoneNumbers = fault.sessions === 'all' ? undefined : new Set(fault.sessions)
    if (isInstant(fault)) return this.#target?.strike(fault, phoneNumbers) ?? 0
    const left = ('count' in fault ? fault.count : undefined) ?? Number.POSITIVE_INFINITY
    const key = scopeKey(fault)
    this.#standing = this.#standing.filter((other) => other.fault.kind !== fault.kind || scopeKey(other.fault) !== key)
    this.#standing.push({ fault, phoneNumbers, left })
    return this.#target?.reconsider(fault, phoneNumbers) ?? 0
  }

  /** Ends every standing fault. */
  clear(): void {
    this.#standing = []
    this.#target?.reconsider(undefined, undefined)
  }

  /** The faults that stand now. */
  list(): StandingFault[] {
    this.#dropExpired()
    return this.#standing.map((entry) => entry.fault)
  }

  /**
   * The latest standing fault of this kind for a session; `phoneNumber` is undefined while a socket has not said who it is.
   * Uses up one of a counted fault.
   */
  take<K extends StandingFault['kind']>(
    kind: K,
    phoneNumber: string | undefined,
  ): Extract<StandingFault, { kind: K }> | undefined {
    if (this.#standing.length === 0) return undefined
    const entry = this.#standing.findLast(
      (each) =>
        each.fault.kind === kind &&
        (each.phoneNumbers === undefined || (phoneNumber !== undefined && each.phoneNumbers.has(phoneNumber))),
    )
    if (!entry) return undefined
    if (entry.fault.kind === 'restrict' && entry.fault.until <= Date.now()) {
      this.#dropExpired()
      return undefined
    }
    entry.left -= 1
    if (entry.left <= 0) this.#standing = this.#standing.filter((other) => other !== entry)
    return entry.fault as Extract<StandingFault, { kind: K }>
  }

  #dropExpired(): void {
    const now = Date.now()
    this.#standing = this.#standing.filter((entry) => entry.fault.kind !== 'restrict' || entry.fault.until > now)
  }
}

function isInstant(fault: Fault): fault is InstantFault {
  return fault.kind === 'close' || fault.kind === 'reset' || fault.kind === 'stream_error' || fault.kind === 'conflict'
}

function scopeKey(fault: Fault): string {
  return fault.sessions === 'all' ? 'all' : fault.sessions.toSorted().join(',')
}
