// The HTTP client of webhooks: connects only where the guard allows, checked at connect time; keeps connections, follows nothing.
import type { LookupAddress } from 'node:dns'
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
      if (!isAllowedPort(port) || (isIP(host) !== 0 && !isAllowedAddress(host, policy))) {
        queueMicrotask(() => callback(notAllowed(), null))
        return
      }
      connect(options, callback)
    },
  })
}

function guardedLookup(policy: GuardPolicy): LookupFunction {
  return (hostname, options, callback) => {
    policy.lookup(hostname, { all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0)
      if (addresses.length === 0) return callback(new Error('the name has no address'), '', 0)
      if (addresses.some(({ address }) => !isAllowedAddress(address, policy))) return callback(notAllowed(), '', 0)
      if (options.all) return callback(null, addresses)
      const first = preferred(addresses, options.family)
      return callback(null, first.address, first.family)
    })
  }
}

function preferred(addresses: LookupAddress[], family: unknown): LookupAddress {
  const wanted = addresses.find((address) => address.family === family) ?? addresses[0]
  if (!wanted) throw new Error('unreachable: no addresses')
  return wanted
}

function notAllowed(): AppError {
  return new AppError('url_not_allowed', 'The address leads to a private or reserved network, or the port is not allowed.')
}
