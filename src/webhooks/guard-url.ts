// Guards against requests into private networks: which addresses, ports and URLs a webhook or a proxy may have.
import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { withDeadline } from '../platform/clock.ts'
import { AppError } from '../platform/errors.ts'

export type Lookup = (
  hostname: string,
  options: { all: true; verbatim?: boolean },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

export interface GuardPolicy {
  /** May be reached although they are private. */
  readonly allowedNetworks: readonly ReturnType<typeof ipaddr.parseCIDR>[]
  /** How names are resolved. */
  readonly lookup: Lookup
}

/**
 * `networks` are CIDRs or single addresses (`UJUMBE_WEBHOOK_ALLOWED_NETWORKS`); `lookup` is the system's unless given.
 * @throws AppError `configuration` naming the first that is neither.
 */
export function createGuardPolicy(networks: readonly string[], lookup: Lookup = dnsLookup): GuardPolicy {
  const allowedNetworks = networks.map((text) => {
    const cidr = text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`
    if (!ipaddr.isValidCIDR(cidr)) {
      throw new AppError('configuration', `UJUMBE_WEBHOOK_ALLOWED_NETWORKS: ${text} is no network such as 10.0.0.0/8.`)
    }
    return ipaddr.parseCIDR(cidr)
  })
  return { allowedNetworks, lookup }
}

interface GuardOptions {
  /** With the colon. */
  protocols?: readonly string[]
  /** Proxies carry their password in the URL, webhooks may not. */
  allowCredentials?: boolean
}

const resolveDeadlineMs = 3_000
const maxUrlLength = 2_048
/** Reached by every machine of that cloud, although the address is a public one. */
const cloudInternal = new Set(['168.63.129.16'])
const globalUnicast = ipaddr.parseCIDR('2000::/3')

/** True when requests may go there: a public unicast address, or one in an allowed network. Anything unreadable is refused. */
export function isAllowedAddress(address: string, policy: GuardPolicy): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.process(address) // ::ffff:127.0.0.1 becomes 127.0.0.1
  const allowed = policy.allowedNetworks.some((cidr) => cidr[0].kind() === parsed.kind() && parsed.match(cidr))
  if (allowed) return true
  if (parsed.range() !== 'unicast' || cloudInternal.has(parsed.toString())) return false
  return parsed.kind() === 'ipv4' || parsed.match(globalUnicast)
}

/** The web's own ports, and those that ordinary programs listen on. */
export function isAllowedPort(port: number): boolean {
  return port === 80 || port === 443 || (port >= 1024 && port <= 65535)
}

/**
 * Checks a URL before it is stored: form, port, the address when it is one, and every address its name has now. A name that cannot be
 * resolved now passes: each connection is checked again when it is made (`createGuardedAgent`).
 * @throws AppError `url_not_allowed`
 */
export async function guardUrl(text: string, policy: GuardPolicy, options: GuardOptions = {}): Promise<URL> {
  const protocols = options.protocols ?? ['http:', 'https:']
  const url = parseUrl(text)
  if (!protocols.includes(url.protocol)) {
    throw refused(`The address must begin with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}.`)
  }
  if (!options.allowCredentials && (url.username !== '' || url.password !== '')) {
    throw refused('The address may not hold a user name or password. Use a header instead.')
  }
  if (url.port !== '' && !isAllowedPort(Number(url.port))) throw refused(`Port ${url.port} is not allowed.`)

  const host = canonicalHost(url)
  if (isIP(host)) {
    if (!isAllowedAddress(host, policy)) throw refused('The address is in a private or reserved network.')
    return url
  }
  const addresses = await resolve(host, policy)
  if (addresses.some(({ address }) => !isAllowedAddress(address, policy))) {
    throw refused('The name leads to a private or reserved network.')
  }
  return url
}

function parseUrl(text: string): URL {
  const url = text.length <= maxUrlLength ? URL.parse(text) : null
  if (!url || url.hostname === '') throw refused('This is not an absolute address of at most 2,048 characters.')
  return url
}

/** 127.1, 0 and 2130706433 are 127.0.0.1 to the system's resolver, but only web addresses are put right by the URL parser. */
function canonicalHost(url: URL): string {
  const web = URL.parse(`http://${url.hostname}/`)
  if (!web) throw refused('The host name is not valid.')
  return web.hostname.replace(/^\[|\]$/g, '')
}

/** Empty when the name has no address at present. */
async function resolve(host: string, policy: GuardPolicy): Promise<LookupAddress[]> {
  const answer = new Promise<LookupAddress[]>((settle) => {
    policy.lookup(host, { all: true }, (error, addresses) => settle(error ? [] : addresses))
  })
  return withDeadline(answer, resolveDeadlineMs).catch(() => [])
}

function refused(detail: string): AppError {
  return new AppError('url_not_allowed', detail)
}
