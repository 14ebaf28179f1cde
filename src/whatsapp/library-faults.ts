// What Baileys lets fall: rejections of its own listeners, caught here with the socket they belong to.
import type { EventEmitter } from 'node:events'

type Listener = (...args: unknown[]) => unknown

interface FaultHandlers {
  /** A frame that cannot be decrypted or read: nothing after it can be, either. */
  onBadFrame: (error: unknown) => void
  /** A listener failed on one stanza, mostly because the socket had just closed; the socket itself is sound. */
  onListenerFailed: (error: unknown) => void
}

/**
 * Baileys' listeners on its socket are async functions that nobody awaits; without this the first bad frame ends the process.
 * Messages are also handled one after the other: Baileys looks up addresses before it queues them, and a short look-up overtakes a long one.
 * Call it right after the socket is made: all listeners are registered by then, and none has run.
 */
export function guardListeners(ws: EventEmitter, handlers: FaultHandlers): void {
  for (const name of ws.eventNames()) {
    const onFailed = name === 'message' ? handlers.onBadFrame : handlers.onListenerFailed
    for (const listener of ws.listeners(name)) {
      ws.off(name, listener as () => void)
      const guarded = (...args: unknown[]) => runGuarded(listener, args, onFailed)
      ws.on(name, name === 'CB:message' ? inTurn(guarded) : (...args: unknown[]) => void guarded(...args))
    }
  }
}

async function runGuarded(listener: Listener, args: unknown[], onFailed: (error: unknown) => void): Promise<void> {
  try {
    await listener(...args)
  } catch (error) {
    onFailed(error)
  }
}

function inTurn(run: (...args: unknown[]) => Promise<void>): (...args: unknown[]) => void {
  let last = Promise.resolve()
  return (...args) => {
    last = last.then(() => run(...args))
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
