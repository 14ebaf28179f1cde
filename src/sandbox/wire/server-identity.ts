// The server's static Noise key and the genuine certificate chain over it: root, intermediate, leaf. Kept on disk when asked.
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { proto } from '@whiskeysockets/baileys/WAProto/index.js'
import { z } from 'zod'
import { newKeyPair, sign, type KeyPair } from './keys.ts'

export interface ServerIdentity {
  staticKey: KeyPair
  /** The public root of the chain, 32 bytes: what a client that checks certificates must trust. */
  rootPublicKey: Buffer
  /** Encoded CertChain. */
  certificateChain: Buffer
}

const intermediateSerial = 1
const leafSerial = 2
const validSeconds = 10 * 365 * 24 * 3600
const key = z.base64().transform((text) => Buffer.from(text, 'base64'))
const pair = z.object({ privateKey: key, publicKey: key })
const stored = z.object({ root: pair, intermediate: pair, leaf: pair })

/** Makes the keys once per data directory; without one they live as long as the process. */
export async function loadServerIdentity(dataDir?: string): Promise<ServerIdentity> {
  const keys = dataDir === undefined ? newKeys() : await readOrMake(dataDir)
  const notBefore = Math.floor(Date.now() / 1000) - 24 * 3600
  const validity = { notBefore, notAfter: notBefore + validSeconds }
  const { Details } = proto.CertChain.NoiseCertificate
  const intermediate = Details.encode({
    serial: intermediateSerial,
    issuerSerial: 0,
    key: keys.intermediate.publicKey,
    ...validity,
  }).finish()
  const leaf = Details.encode({
    serial: leafSerial,
    issuerSerial: intermediateSerial,
    key: keys.leaf.publicKey,
    ...validity,
  }).finish()
  const chain = proto.CertChain.encode({
    intermediate: { details: intermediate, signature: sign(keys.root.privateKey, intermediate) },
    leaf: { details: leaf, signature: sign(keys.intermediate.privateKey, leaf) },
  }).finish()
  return { staticKey: keys.leaf, rootPublicKey: keys.root.publicKey, certificateChain: Buffer.from(chain) }
}

interface Keys {
  root: KeyPair
  intermediate: KeyPair
  leaf: KeyPair
}

function newKeys(): Keys {
  return { root: newKeyPair(), intermediate: newKeyPair(), leaf: newKeyPair() }
}

async function readOrMake(dataDir: string): Promise<Keys> {
  const path = join(dataDir, 'noise-keys.json')
  try {
    return stored.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const keys = newKeys()
  await mkdir(dataDir, { recursive: true })
  const text = JSON.stringify(keys, (_, value: unknown) => encodeKey(value))
  await writeFile(`${path}.tmp`, text, { mode: 0o600 })
  await chmod(`${path}.tmp`, 0o600)
  await rename(`${path}.tmp`, path)
  return keys
}

/** `JSON.stringify` shows a Buffer as its `toJSON` form before the replacer sees it. */
function encodeKey(value: unknown): unknown {
  const json = value as { type?: unknown; data?: unknown } | null
  return json?.type === 'Buffer' && Array.isArray(json.data) ? Buffer.from(json.data).toString('base64') : value
}
