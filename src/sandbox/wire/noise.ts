// The symmetric half of the Noise protocol (revision 34, sections 5.1 and 5.2) for 25519, AESGCM and SHA256.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
} from 'node:crypto'

const tagLength = 16
const pkcs8Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex')
const spkiPrefix = Buffer.from('302a300506032b656e032100', 'hex')

/** X25519. @throws Error on keys of another length and on points of low order. */
export function agree(privateKey: Uint8Array, publicKey: Uint8Array): Buffer {
  if (privateKey.length !== 32 || publicKey.length !== 32) throw new Error('A key must have 32 bytes.')
  return diffieHellman({
    privateKey: createPrivateKey({ key: Buffer.concat([pkcs8Prefix, privateKey]), format: 'der', type: 'pkcs8' }),
    publicKey: createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' }),
  })
}

/** One direction's key and counter. */
export class CipherState {
  readonly #key: Buffer
  readonly #nonce = Buffer.alloc(12)
  #counter = 0

  constructor(key: Uint8Array) {
    this.#key = Buffer.from(key)
  }

  encrypt(plain: Uint8Array, associated: Uint8Array = Buffer.alloc(0)): Buffer {
    const cipher = createCipheriv('aes-256-gcm', this.#key, this.#next()).setAAD(associated)
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }

  /** @throws Error when a byte, the order or the key differs. */
  decrypt(sealed: Uint8Array, associated: Uint8Array = Buffer.alloc(0)): Buffer {
    if (sealed.length < tagLength) throw new Error('The frame is too short to be encrypted.')
    const end = sealed.length - tagLength
    const decipher = createDecipheriv('aes-256-gcm', this.#key, this.#next(), { authTagLength: tagLength })
    decipher.setAAD(associated).setAuthTag(sealed.subarray(end))
    return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()])
  }

  /** 4 zero bytes and a 64-bit big-endian counter, of which 32 bits are used: no connection sends that many frames. */
  #next(): Buffer {
    this.#nonce.writeUInt32BE(this.#counter, 8)
    this.#counter += 1
    return this.#nonce
  }
}

/** Chaining key, handshake hash and the cipher between them. */
export class SymmetricState {
  #hash: Buffer
  #chainingKey: Buffer
  #cipher: CipherState | undefined

  constructor(protocolName: string) {
    const name = Buffer.from(protocolName)
    this.#hash = name.length <= 32 ? Buffer.concat([name, Buffer.alloc(32 - name.length)]) : sha256(name)
    this.#chainingKey = this.#hash
  }

  get hash(): Buffer {
    return this.#hash
  }

  mixHash(data: Uint8Array): void {
    this.#hash = sha256(Buffer.concat([this.#hash, data]))
  }

  mixKey(material: Uint8Array): void {
    const [chainingKey, key] = this.#derive(material)
    this.#chainingKey = chainingKey
    this.#cipher = new CipherState(key)
  }

  encryptAndHash(plain: Uint8Array): Buffer {
    const sealed = this.#cipher ? this.#cipher.encrypt(plain, this.#hash) : Buffer.from(plain)
    this.mixHash(sealed)
    return sealed
  }

  decryptAndHash(sealed: Uint8Array): Buffer {
    const plain = this.#cipher ? this.#cipher.decrypt(sealed, this.#hash) : Buffer.from(sealed)
    this.mixHash(sealed)
    return plain
  }

  split(): { fromInitiator: CipherState; fromResponder: CipherState } {
    const [first, second] = this.#derive(Buffer.alloc(0))
    return { fromInitiator: new CipherState(first), fromResponder: new CipherState(second) }
  }

  #derive(material: Uint8Array): [Buffer, Buffer] {
    const bytes = Buffer.from(hkdfSync('sha256', material, this.#chainingKey, Buffer.alloc(0), 64))
    return [bytes.subarray(0, 32), bytes.subarray(32)]
  }
}

function sha256(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}
