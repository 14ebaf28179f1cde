// The hash by which WhatsApp's server says which devices a message should have gone to. Pure.
import { createHash } from 'node:crypto'

/** As Baileys keeps them. */
export interface ListedDevice {
  user: string
  device?: number
  server: string
}

/** Version 2; the order does not matter, and a device counts once. */
export function deviceListHash(devices: readonly ListedDevice[]): string {
  const names = new Set(devices.map(({ user, device = 0, server }) => `${user}.0:${device}@${server}`))
  const digest = createHash('sha256')
    .update([...names].toSorted().join(''))
    .digest()
  return `2:${digest.subarray(0, 6).toString('base64').replaceAll('=', '')}`
}
