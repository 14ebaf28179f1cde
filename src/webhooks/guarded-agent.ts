// The HTTP client of webhooks: connects only where the guard allows, checked at connect time; keeps connections, follows nothing.
import type { LookupAddress, LookupOptions } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { Agent, buildConnector } from 'undici'
import { AppError } from '../platform/errors.ts'
import { isAllowedAddress, isAllowedPort, type GuardPolicy } from './guard-url.ts'

const connectTimeoutMs = 5_000
const maxHeaderBytes = 16 * 1024
/** Several endpoints may share an origin; each is bounded by its own cap. */
const connectionsPerOrigin = 64

/**
 * Every connection it opens is checked: the address when the host is one, else every address the name resolves to at that moment;
 * one bad address among them refuses the connection, so that a name cannot be pointed elsewhere after it was checked.
 */
export function createGuardedAgent(policy: GuardPolicy): Agent {
  const connect = buildConnector({ timeout: connectTimeoutMs, allowH2: false, lookup: guardedLookup(policy) })
  return new Agent({
    connections: connectionsPerOrigin,
    allowH2: false,
    maxHeaderSize: maxHeaderBytes,
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 30_000,
    connect: (options, callback) => {
      const host = options.hostname.replace(/^\[|\]$/g, '')
      const port = Number(options.port) || (options.protocol === 'https:' ? 443 : 80)
      if (!mayConnect(host, port, policy)) {
        queueMicrotask(() => callback(notAllowed(), null))
        return
      }
      connect(options, callback)
    },
  })
}

/** Before a connection: the port, and the host when it is an address (without brackets). Names are `guardedLookup`'s. */
export function mayConnect(host: string, port: number, policy: GuardPolicy): boolean {
  return isAllowedPort(port) && (isIP(host) === 0 || isAllowedAddress(host, policy))
}

/** Lookups hold one of the few threads of the process while they last: each name has one at most. */
export function guardedLookup(policy: GuardPolicy): LookupFunction {
  const running = new Map<string, Promise<LookupAddress[]>>()
  const resolve = (hostname: string) => {
    const joined = running.get(hostname)
    if (joined) return joined
    const lookup = resolveAllowed(policy, hostname).finally(() => running.delete(hostname))
    running.set(hostname, lookup)
    return lookup
  }
  const answer = async (hostname: string, options: LookupOptions, callback: Parameters<LookupFunction>[2]) => {
    let addresses: LookupAddress[]
    try {
      addresses = await resolve(hostname)
    } catch (error) {
      callback(error as NodeJS.ErrnoException, '', 0)
      return
    }
    if (options.all) {
      callback(null, addresses)
    } else {
      const first = preferred(addresses, options.family)
      callback(null, first.address, first.family)
    }
  }
  return (hostname, options, callback) => void answer(hostname, options, callback)
}

async function resolveAllowed(policy: GuardPolicy, hostname: string): Promise<LookupAddress[]> {
  const addresses = await new Promise<LookupAddress[]>((resolve, reject) => {
    policy.lookup(hostname, { all: true }, (error, found) => (error ? reject(error) : resolve(found)))
  })
  if (addresses.length === 0) throw Object.assign(new Error('the name has no address'), { code: 'ENOTFOUND' })
  if (addresses.some(({ address }) => !isAllowedAddress(address, policy))) throw notAllowed()
  return addresses
}

function preferred(addresses: LookupAddress[], family: unknown): LookupAddress {
  const wanted = addresses.find((address) => address.family === family) ?? addresses[0]
  if (!wanted) throw new Error('unreachable: no addresses')
  return wanted
}

function notAllowed(): AppError {
  return new AppError('url_not_allowed', 'The address leads to a private or reserved network, or the port is not allowed.')
}
