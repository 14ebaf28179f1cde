// The preview of the first address in a text: fetched at most once an hour by each process, and never in the way of the message.
import { LRUCache } from 'lru-cache'
import type { Agent } from 'undici'
import type { Log } from '../platform/log.ts'
import type { MessageRecord } from '../store/message-store.ts'
import { createGuardedAgent } from '../webhooks/guarded-agent.ts'
import type { GuardPolicy } from '../webhooks/guard-url.ts'
import type { LinkPreview } from '../whatsapp/whatsapp-client.ts'
import { fetchPage, refusalOf } from './fetch-page.ts'
import { readPageHead, type PageHead } from './page-head.ts'

type Message = Pick<MessageRecord, 'type' | 'content'>

const fetchTimeoutMs = 3_000
const keepMs = 3_600_000
/** A page that failed is not asked again for each message of a campaign. */
const keepFailedMs = 60_000
const maxCount = 500
const maxUrlLength = 2_048

/** The first http(s) address, without the punctuation of the sentence it stands in. */
export function firstUrl(text: string): { matched: string; url: URL } | null {
  for (const [found] of text.matchAll(/\bhttps?:\/\/[^\s<>"]+/gi)) {
    if (found.length > maxUrlLength) continue
    const matched = withoutPunctuation(found)
    const url = URL.parse(matched)
    if (url) return { matched, url }
  }
  return null
}

/** One per process. */
export class LinkPreviews {
  readonly #policy: GuardPolicy
  readonly #agent: Agent
  readonly #timeoutMs: number
  readonly #heads = new LRUCache<string, PageHead | 'none'>({ max: maxCount, ttl: keepMs })
  readonly #fetching = new Map<string, Promise<PageHead | null>>()

  constructor(deps: { policy: GuardPolicy; timeoutMs?: number }) {
    this.#policy = deps.policy
    this.#timeoutMs = deps.timeoutMs ?? fetchTimeoutMs
    this.#agent = createGuardedAgent(deps.policy)
  }

  /** Null when the message wants none or there is none. Never rejects, takes 3 s at most and ends at once when `hurry` aborts. */
  async previewOf(message: Message, hurry: AbortSignal, log: Log): Promise<LinkPreview | null> {
    const link = linkOf(message)
    if (!link) return null
    const kept = this.#heads.get(link.url.href)
    if (kept !== undefined) return previewFrom(link, kept)
    return previewFrom(link, (await untilAborted(this.#fetch(link.url, log), hurry)) ?? 'none')
  }

  /** Without asking anybody. */
  known(message: Message): LinkPreview | null {
    const link = linkOf(message)
    return link ? previewFrom(link, this.#heads.get(link.url.href) ?? 'none') : null
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  /** Messages of several sessions with the same address wait for the same answer. */
  #fetch(url: URL, log: Log): Promise<PageHead | null> {
    const key = url.href
    const running = this.#fetching.get(key)
    if (running) return running
    const fetching = this.#fetchOnce(url, log).finally(() => this.#fetching.delete(key))
    this.#fetching.set(key, fetching)
    return fetching
  }

  /** Addresses may hold secrets: the log names the host alone. */
  async #fetchOnce(url: URL, log: Log): Promise<PageHead | null> {
    const startedAt = performance.now()
    const signal = AbortSignal.timeout(this.#timeoutMs)
    let head: PageHead | null = null
    let reason: string | undefined
    try {
      const html = await Promise.race([fetchPage({ policy: this.#policy, agent: this.#agent }, url, signal), rejected(signal)])
      head = readPageHead(html)
      if (!head) reason = 'no_title'
    } catch (error) {
      reason = refusalOf(error)
    }
    this.#heads.set(url.href, head ?? 'none', head ? {} : { ttl: keepFailedMs })
    const fields = { host: url.hostname, durationMs: Math.round(performance.now() - startedAt) }
    if (reason === undefined) log.debug(fields, 'link_preview.fetched')
    else log.info({ ...fields, reason }, 'link_preview.failed')
    return head
  }
}

interface Link {
  matched: string
  url: URL
}

function linkOf({ type, content }: Message): Link | null {
  const text = type === 'text' ? (content['text'] as { body?: unknown; linkPreview?: unknown } | undefined) : undefined
  return text?.linkPreview === true && typeof text.body === 'string' ? firstUrl(text.body) : null
}

function previewFrom({ matched, url }: Link, head: PageHead | 'none'): LinkPreview | null {
  if (head === 'none') return null
  return { matchedText: matched, canonicalUrl: url.href, title: head.title, description: head.description }
}

/** A closing bracket belongs to the address only when it was opened there. */
function withoutPunctuation(found: string): string {
  let end = found.length
  for (; end > 0; end -= 1) {
    const last = found[end - 1] ?? ''
    if (last === ')' && countOf(found, '(', end) >= countOf(found, ')', end)) break
    if (!".,;:!?'*_~)]}»”’".includes(last)) break
  }
  return found.slice(0, end)
}

function countOf(text: string, character: string, end: number): number {
  return text.slice(0, end).split(character).length - 1
}

async function rejected(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return null
  const { promise, resolve } = Promise.withResolvers<null>()
  const onAbort = () => resolve(null)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
