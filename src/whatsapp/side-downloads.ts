// What Baileys fetches beside its socket (the history of a new pairing, settings too large for a frame): the session's own way, bounded.
import type { Socket } from 'node:net'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import { openTunnel, type ProxyRoute } from './proxy-tunnel.ts'

interface DownloadLimits {
  /** For a connection, for the first byte of an answer, and between two pieces of it. */
  stepMs: number
  /** For all of it: what people write meanwhile waits behind it. */
  totalMs: number
  maxBytes: number
}

export interface SideDownloads {
  /** For Baileys' `options`: it hands it to `fetch`. */
  readonly dispatcher: Dispatcher
  /** Ends what is under way. */
  destroy(): void
}

const defaultLimits: DownloadLimits = { stepMs: 10_000, totalMs: 60_000, maxBytes: 32 * 1024 * 1024 }

/** `https:` only. `proxy` is asked for each connection; null: straight there. Costs nothing until something is fetched. */
export function createSideDownloads(proxy: () => ProxyRoute | null, limits: DownloadLimits = defaultLimits): SideDownloads {
  const ended = new AbortController()
  const connectTls = buildConnector({ timeout: limits.stepMs, allowH2: false })
  const connect = async (options: buildConnector.Options, callback: buildConnector.Callback): Promise<void> => {
    try {
      const tunnel = await tunnelFor(proxy(), options, ended.signal)
      connectTls({ ...options, ...(tunnel ? { httpSocket: tunnel } : {}) }, callback)
    } catch (error) {
      callback(error as Error, null)
    }
  }
  const agent = new Agent({
    allowH2: false,
    connections: 1,
    headersTimeout: limits.stepMs,
    bodyTimeout: limits.stepMs,
    maxResponseSize: limits.maxBytes,
    connect: (options, callback) => void connect(options, callback),
  })
  return {
    dispatcher: agent.compose((dispatch) => (request, handler) => dispatch(request, withinTime(handler, limits.totalMs))),
    destroy: () => {
      ended.abort()
      agent.destroy().catch(() => undefined)
    },
  }
}

/** Null when the way is direct. */
async function tunnelFor(route: ProxyRoute | null, options: buildConnector.Options, signal: AbortSignal): Promise<Socket | null> {
  if (options.protocol !== 'https:') throw new Error('only https: is fetched from')
  if (!route) return null
  return openTunnel(route, { host: options.hostname.replace(/^\[|\]$/g, ''), port: Number(options.port) || 443 }, signal)
}

function withinTime(handler: Dispatcher.DispatchHandler, totalMs: number): Dispatcher.DispatchHandler {
  let timer: NodeJS.Timeout | undefined
  return {
    onRequestStart: (controller, context) => {
      timer = setTimeout(() => controller.abort(new Error('the download took too long')), totalMs)
      handler.onRequestStart?.(controller, context)
    },
    onResponseStart: (...args) => handler.onResponseStart?.(...args),
    onResponseData: (...args) => handler.onResponseData?.(...args),
    onResponseEnd: (...args) => {
      clearTimeout(timer)
      handler.onResponseEnd?.(...args)
    },
    onResponseError: (...args) => {
      clearTimeout(timer)
      handler.onResponseError?.(...args)
    },
  }
}
