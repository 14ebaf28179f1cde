// WhatsApp addresses (JIDs): `user:device@server`, where device 0 is left out.

/** The server itself: a JID with an empty user, which is not the same on the wire as the token `s.whatsapp.net`. */
export const serverJid = '@s.whatsapp.net'
export const phoneServer = 's.whatsapp.net'
export const lidServer = 'lid'
export const groupServer = 'g.us'

export interface Address {
  user: string
  /** 0 is the phone. */
  device: number
  server: string
}

/** Undefined when the text is no address of a user, device, group or list. */
export function parseAddress(jid: string | undefined): Address | undefined {
  const match = /^([^@:]+)(?::(\d{1,5}))?@([a-z.]+)$/.exec(jid ?? '')
  if (!match?.[1] || !match[3]) return undefined
  // `user_agent` is an old form of the user part.
  const user = match[1].split('_')[0]
  if (!user) return undefined
  const server = match[3] === 'c.us' ? phoneServer : match[3]
  return { user, device: Number(match[2] ?? 0), server }
}

export function formatAddress(user: string, device: number, server: string): string {
  return device === 0 ? `${user}@${server}` : `${user}:${device}@${server}`
}
