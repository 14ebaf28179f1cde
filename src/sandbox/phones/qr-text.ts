// The text inside a linking QR code, in its two forms.

export interface QrText {
  ref: string
  noisePublicKey: Buffer
  identityPublicKey: Buffer
  advSecret: Buffer
}

/** `ref,noise,identity,adv,platform`, alone or behind `https://wa.me/settings/linked_devices#`. Undefined when it is neither. */
export function parseQrText(text: string): QrText | undefined {
  const fields = text.trim().replace(/^https:\/\/wa\.me\/settings\/linked_devices#/i, '')
  const parts = fields.split(',')
  // a ref is opaque and may hold commas itself; the older form has no platform
  const platform = /^\d{0,4}$/.test(parts.at(-1) ?? '') && parts.length > 4 ? 1 : 0
  const keys = parts.slice(parts.length - 3 - platform, parts.length - platform).map(decodeKey)
  const ref = parts.slice(0, parts.length - 3 - platform).join(',')
  const [noisePublicKey, identityPublicKey, advSecret] = keys
  if (!ref || !noisePublicKey || !identityPublicKey || !advSecret) return undefined
  return { ref, noisePublicKey, identityPublicKey, advSecret }
}

function decodeKey(base64: string): Buffer | undefined {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(base64)) return undefined
  return Buffer.from(base64, 'base64')
}
