// What Baileys lets fall: rejections of its own listeners, caught here with the socket they belong to.
import type { EventEmitter } from 'node:events'

interface FaultHandlers {
  /** A frame that cannot be decrypted or read: nothing after it can be, either. */
  onBadFrame: (error: unknown) => void
  /** A listener failed on one stanza, mostly because the socket had just closed; the socket itself is sound. */
  onListenerFailed: (error: unknown) => void
}

/**
 * Baileys' listeners on its socket are async functions that nobody awaits; without this the first bad frame ends the process.
 * Call it right after the socket is made: all of them are registered by then, and none has run.
 */
export function guardListeners(ws: EventEmitter, handlers: FaultHandlers): void {
  for (const name of ws.eventNames()) {
    const onFailed = name === 'message' ? handlers.onBadFrame : handlers.onListenerFailed
    for (const listener of ws.listeners(name)) {
      ws.off(name, listener as () => void)
      ws.on(name, (...args: unknown[]) => runGuarded(listener, args, onFailed))
    }
  }
}

function runGuarded(listener: (...args: unknown[]) => unknown, args: unknown[], onFailed: (error: unknown) => void): void {
  try {
    const result = listener(...args)
    if (result instanceof Promise) result.catch(onFailed)
  } catch (error) {
    onFailed(error)
  }
}

/**
 * Says of an unhandled rejection that Baileys is known to cause it, in background work that belongs to no listener.
 * The socket concerned is closed or closes by itself; a process must not end for it. Only Baileys throws Booms here.
 */
export function isBaileysFrameError(reason: unknown): boolean {
  if (!(reason instanceof Error)) return false
  return ('isBoom' in reason && reason.isBoom === true) || reason.message === 'Unsupported state or unable to authenticate data'
}
