// Draining the send queue of one held session: one job in flight, in order, through whatever socket is attached at the time.
import { backoffMs } from '../platform/backoff.ts'
import { sleep, withDeadline } from '../platform/clock.ts'
import { hasCode } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { closeWorker } from '../platform/queue.ts'
import type { WakeReason } from '../sessions/live-session.ts'
import type { PublishedEvent } from '../store/event-store.ts'
import type { MessageStore } from '../store/message-store.ts'
import type { SessionStore } from '../store/session-store.ts'
import type { OutgoingMessage, SendOutcome, WhatsAppClient } from '../whatsapp/whatsapp-client.ts'
import { HeldMessages } from './held-messages.ts'
import { InFlight } from './in-flight.ts'
import { tellStranded } from './requeue-stranded.ts'
import { sendMessage, type SendDeps, type SendVerdict } from './send-message.ts'
import type { SendJob, SendQueues, SendWorker } from './send-queue.ts'
import { SessionPacer, type PacerDeps } from './session-pacer.ts'

export interface DrainDeps {
  messages: Pick<MessageStore, 'take' | 'advance' | 'listUnfinished' | 'listHeld' | 'get' | 'findByWhatsappId'> &
    PacerDeps['messages']
  sessions: Pick<SessionStore, 'get'>
  /** Messages a second of all sessions together; null: no limit. */
  fleetPerSecond: number | null
  announce: (published: PublishedEvent[]) => void
  /** One for all sessions of the worker, over a 'worker' connection. */
  queues: SendQueues
  previews: SendDeps['previews']
  incarnation: string
  /** The lease under which this drain was made; a new lease gets a new drain. */
  lease: { readonly epoch: number; isTrusted(): boolean }
  /** The attached client is of no more use: close it, and attach another one. It has been detached already. */
  onSocketDead(reason: string): void
  /** Its lines name the session. */
  log: Log
  ackTimeoutMs: number
}

const settleMs = 1_000
const retryPauses = { baseMs: 250, capMs: 5_000, floorMs: 100 }
/** A wake-up to compare means little while messages leave, and while they wait for the session's pace. */
const recentMs = 10_000
const comparedMs = 30_000
const maxTimerMs = 3_600_000

/**
 * Lives as long as the lease. While a client is attached and the lease is trusted it sends what the queue gives; when trust comes back,
 * `wake` or `attach` starts it again. Everything it meets that it cannot finish it leaves to `recover`, which comes before the next job.
 */
export class SendQueueDrain {
  readonly #deps: DrainDeps
  readonly #sessionId: string
  readonly #ending = new AbortController()
  readonly #inFlight: InFlight
  readonly #pacer: SessionPacer
  readonly #held: HeldMessages
  readonly #stopListening: () => void
  #client: WhatsAppClient | null = null
  #worker: SendWorker | null = null
  #loop: Promise<void> | null = null
  #isWoken = false
  /** The queue may not be what the store says: reclaim and compare before the next job. */
  #mustRecover = true
  /** Recover although no client is attached. */
  #recoverNow = false
  #recovered: (() => void)[] = []
  #tokenCount = 0
  #comparedAt = -Infinity
  #isWaiting = false
  /** Wakes the loop when the session may send again, or a message that stepped aside is due. */
  #timer: NodeJS.Timeout | undefined

  constructor(deps: DrainDeps, sessionId: string) {
    this.#deps = deps
    this.#sessionId = sessionId
    this.#inFlight = new InFlight({ ...deps, isTrusted: () => deps.lease.isTrusted(), log: this.#deps.log })
    const { redis, prefix } = deps.queues
    this.#pacer = new SessionPacer({ ...deps, redis, prefix, epoch: deps.lease.epoch, log: this.#deps.log }, sessionId)
    this.#held = new HeldMessages({ ...deps, isTrusted: () => deps.lease.isTrusted() }, sessionId)
    this.#stopListening = deps.queues.onReturn(() => {
      this.#mustRecover = true
      this.#kick()
    })
  }

  /** A message is between its take and its outcome. */
  get busy(): boolean {
    return this.#inFlight.isBusy
  }

  /** `isReconnect`: the session was connected before; it begins slowly. */
  attach(client: WhatsAppClient, isReconnect = false): void {
    this.#client = client
    this.#pacer.connected(isReconnect)
    this.#kick()
  }

  /** Takes no more jobs; resolves when the send in flight has its outcome, at the latest a moment after the ack's time is over. */
  async detach(): Promise<void> {
    this.#client = null
    await this.#inFlight.ended(settleMs)
    // Redis may be away, and then the loop waits for it longer than we may.
    if (this.#loop) await withDeadline(this.#loop, settleMs).catch(() => undefined)
  }

  wake(reason: WakeReason = 'message'): void {
    if (reason === 'compare') {
      const now = performance.now()
      if (this.busy || now - this.#inFlight.lastEndedAt < recentMs) return
      if (this.#pacer.waitMs > 0 && now - this.#comparedAt < comparedMs) return
      this.#mustRecover = true
    }
    if (reason === 'stranded') this.#mustRecover = true
    if (reason === 'settings') this.#pacer.reconsider()
    if (reason === 'held') this.heard()
    this.#kick()
  }

  /** Somebody wrote, or was written to, or a message before it is gone: what was held back for that is due. */
  heard(): void {
    if (this.#held.isEmpty) return
    this.#held.added(Date.now())
    this.#kick()
  }

  /**
   * Takes back the job that a dead holder had in hand and compares the queue with the store. Happens before the first job anyway:
   * nobody has to wait for it. Resolves when it is done or the drain is closed.
   */
  async recover(): Promise<void> {
    this.#mustRecover = true
    this.#recoverNow = true
    const recovered = new Promise<void>((resolve) => this.#recovered.push(resolve))
    this.#kick()
    await recovered
  }

  /** A receipt for the message in flight counts as its ack; resolves when that is stored, so that the receipt comes second. */
  async acknowledge(whatsappIds: readonly string[]): Promise<void> {
    await this.#inFlight.acknowledge(whatsappIds)
  }

  /** Bounded. A job still in hand is left to the next holder. */
  async close(): Promise<void> {
    await this.detach()
    this.#end()
    if (this.#worker) await closeWorker(this.#worker, settleMs)
  }

  #end(): void {
    this.#ending.abort()
    clearTimeout(this.#timer)
    this.#stopListening()
    this.#recoverNow = false
    for (const resolve of this.#recovered.splice(0)) resolve()
  }

  #mayRun(): boolean {
    if (this.#ending.signal.aborted || !this.#deps.lease.isTrusted()) return false
    return this.#client !== null || this.#recoverNow
  }

  #kick(): void {
    this.#isWoken = true
    if (this.#loop || !this.#mayRun()) return
    this.#loop = this.#run().finally(() => {
      this.#loop = null
      if (this.#isWoken && this.#mayRun()) this.#kick()
      else this.#wakeLater()
    })
  }

  #wakeLater(): void {
    clearTimeout(this.#timer)
    if (this.#client === null || !this.#mayRun()) return
    const waitMs = this.#isWaiting ? this.#pacer.waitMs : this.#held.nextAt - Date.now()
    if (waitMs < Infinity) this.#timer = setTimeout(() => this.#kick(), Math.min(Math.max(waitMs, 1), maxTimerMs))
  }

  async #run(): Promise<void> {
    let failures = 0
    while (this.#mayRun()) {
      this.#isWoken = false
      try {
        if (this.#mustRecover) await this.#recoverQueue()
        const didSomething = this.#client !== null && (await this.#runNext())
        if (!didSomething && !this.#mustRecover && (!this.#isWoken || this.#isWaiting)) return
        failures = 0
      } catch (error) {
        this.#mustRecover = true
        if (this.#ending.signal.aborted || this.#isSuperseded(error)) return
        this.#deps.log.warn({ err: error }, 'drain.interrupted')
        await sleep(backoffMs(retryPauses, failures), this.#ending.signal)
        failures += 1
      }
    }
  }

  async #recoverQueue(): Promise<void> {
    const { queues } = this.#deps
    this.#mustRecover = false
    await queues.prepare(this.#sessionId)
    const reclaimedCount = await queues.reclaimActive(this.#sessionId)
    const isRepaired = await this.#held.compare()
    this.#comparedAt = performance.now()
    this.#recoverNow = false
    for (const resolve of this.#recovered.splice(0)) resolve()
    if (reclaimedCount > 0 || isRepaired) this.#deps.log.info({ reclaimedCount, isRepaired }, 'queue.recovered')
  }

  /** False when the queue is empty, or the session has to wait. */
  async #runNext(): Promise<boolean> {
    this.#isWaiting = this.#pacer.waitMs > 0
    if (this.#isWaiting) return false
    if (await this.#pacer.prepare(!this.#held.isEmpty)) this.#held.added(Date.now())
    await this.#held.returnDue()
    this.#worker ??= this.#deps.queues.createWorker(this.#sessionId)
    const token = `${this.#deps.incarnation}:${this.#deps.lease.epoch}:${(this.#tokenCount += 1)}`
    let next: SendJob | boolean = (await this.#worker.getNextJob(token, { block: false })) ?? false
    while (typeof next === 'object') next = await this.#runJob(this.#worker, next, token)
    return next
  }

  /** The job that came with the end of this one, or whether to look for another. */
  async #runJob(worker: SendWorker, job: SendJob, token: string): Promise<SendJob | boolean> {
    // Time has passed. Without the lease the job stays where it is, for the new holder; if the lease comes back, for us.
    if (!this.#deps.lease.isTrusted() || this.#mustRecover) {
      this.#mustRecover = true
      if (!this.#deps.lease.isTrusted()) await tellStranded(this.#deps.queues, this.#sessionId)
      return true
    }
    const admission = await this.#pacer.admit(job.id as string, !this.#held.isEmpty)
    if (admission.kind === 'aside') {
      this.#held.added(admission.until)
      await job.moveToCompleted(null, token, false)
      return true
    }
    const client = this.#client
    this.#isWaiting = admission.kind === 'wait'
    if (!client || this.#isWaiting) {
      await job.moveToWait(token)
      return client === null
    }
    const verdict = await this.#send(job, client)
    switch (verdict.kind) {
      case 'ended':
        return this.#complete(worker, job, token)
      case 'again':
        this.#dropClient(client, verdict.reason)
        if (this.#deps.lease.isTrusted()) await job.moveToWait(token)
        else this.#mustRecover = true
        return true
      case 'older_first':
        await job.moveToWait(token)
        if (await this.#held.passOver(job.id as string)) this.#deps.log.info({ messageId: job.id }, 'message.stepped_aside')
        return true
    }
  }

  /** The next job is taken in the same step, unless something comes before it: a wait, what stepped aside, a repair. */
  async #complete(worker: SendWorker, job: SendJob, token: string): Promise<SendJob | boolean> {
    const isFree = this.#pacer.waitMs === 0 && this.#held.isEmpty && !this.#mustRecover
    if (!isFree || !this.#client || !this.#mayRun()) {
      await job.moveToCompleted(null, token, false)
      return true
    }
    this.#isWoken = false
    const next = await worker.completeAndTake(job, token)
    if (next) await this.#pacer.prepare(false)
    return next ?? false
  }

  async #send(job: SendJob, client: WhatsAppClient): Promise<SendVerdict> {
    const deliver = async (message: OutgoingMessage): Promise<SendOutcome> => {
      const outcome = await this.#inFlight.deliver(client, message)
      this.#pacer.acked(job.id as string)
      if (outcome.kind === 'rejected' && outcome.code === 'reach_out_restricted') this.#pacer.restrict(outcome.untilMs)
      return outcome
    }
    const deps = { ...this.#deps, deliver, isTyping: this.#pacer.isTyping, ending: this.#ending.signal, log: this.#deps.log }
    const verdict = await this.#inFlight.track((hurry) => sendMessage({ ...deps, hurry }, this.#sessionId, job.id as string))
    if (verdict.kind === 'ended' && this.#pacer.endsHolds) this.heard()
    return verdict
  }

  /** The store knows a higher epoch than our lease has: whoever holds it sends now, we never again. */
  #isSuperseded(error: unknown): boolean {
    if (!hasCode(error, 'stale_epoch')) return false
    this.#deps.log.warn('drain.superseded')
    this.#end()
    if (this.#client) this.#dropClient(this.#client, 'stale_epoch')
    return true
  }

  #dropClient(client: WhatsAppClient, reason: string): void {
    if (this.#client !== client) return
    this.#client = null
    this.#deps.onSocketDead(reason)
  }
}
