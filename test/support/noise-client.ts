// The client's side of WhatsApp's handshake, written from the Noise specification and Node's crypto alone, so that a mistake shared
// with the server's code or with Baileys would show.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'

const spki = Buffer.from('302a300506032b656e032100', 'hex')
const pkcs8 = Buffer.from('302e020100300506032b656e04220420', 'hex')

export interface NoiseKeyPair {
  privateKey: KeyObject
  publicBytes: Buffer
}

interface Direction {
  key: Buffer
  n: number
}

export function newNoiseKeyPair(): NoiseKeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  return { privateKey, publicBytes: rawPublic(publicKey) }
}

function rawPublic(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-32)
}

/** The public half of 32 private bytes. */
export function publicKeyOf(privateBytes: Buffer): Buffer {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8, privateBytes]), format: 'der', type: 'pkcs8' })
  return rawPublic(createPublicKey(key))
}

export class NoiseClient {
  readonly #static: NoiseKeyPair
  readonly #ephemeral = newNoiseKeyPair()
  // The protocol's name has 28 bytes: padded with zeros it is the first hash and the first chaining key.
  #h: Buffer = Buffer.concat([Buffer.from('Noise_XX_25519_AESGCM_SHA256'), Buffer.alloc(4)])
  #ck: Buffer = this.#h
  #k: Buffer = Buffer.alloc(32)
  #n = 0
  #up: Direction = { key: Buffer.alloc(32), n: 0 }
  #down: Direction = { key: Buffer.alloc(32), n: 0 }
  serverStaticKey: Buffer = Buffer.alloc(0)
  serverPayload: Buffer = Buffer.alloc(0)

  /** `staticKey` is the device's: the server knows it again by it. */
  constructor(prologue: Uint8Array, staticKey: NoiseKeyPair = newNoiseKeyPair()) {
    this.#static = staticKey
    this.#mixHash(prologue)
  }

  get staticPublicKey(): Buffer {
    return this.#static.publicBytes
  }

  /** → e. WhatsApp hashes no empty payload here. */
  hello(): Buffer {
    this.#mixHash(this.#ephemeral.publicBytes)
    return field(2, field(1, this.#ephemeral.publicBytes))
  }

  /** ← e, ee, s, es, then → s, se. */
  finish(serverHello: Buffer, payload: Buffer): Buffer {
    const parts = fields(fields(serverHello).get(3) ?? Buffer.alloc(0))
    const remote = parts.get(1) ?? Buffer.alloc(0)
    this.#mixHash(remote)
    this.#mixKey(dh(this.#ephemeral, remote))
    this.serverStaticKey = this.#open(parts.get(2) ?? Buffer.alloc(0))
    this.#mixKey(dh(this.#ephemeral, this.serverStaticKey))
    this.serverPayload = this.#open(parts.get(3) ?? Buffer.alloc(0))
    const sealedStatic = this.#seal(this.#static.publicBytes)
    this.#mixKey(dh(this.#static, remote))
    const sealedPayload = this.#seal(payload)
    const [up, down] = this.#hkdf(Buffer.alloc(0))
    this.#up = { key: up, n: 0 }
    this.#down = { key: down, n: 0 }
    return field(4, Buffer.concat([field(1, sealedStatic), field(2, sealedPayload)]))
  }

  encrypt(plain: Buffer): Buffer {
    return seal(this.#up.key, this.#up.n++, plain, Buffer.alloc(0))
  }

  decrypt(sealed: Buffer): Buffer {
    return open(this.#down.key, this.#down.n++, sealed, Buffer.alloc(0))
  }

  #mixHash(data: Uint8Array): void {
    this.#h = createHash('sha256').update(this.#h).update(data).digest()
  }

  #mixKey(material: Buffer): void {
    const [ck, k] = this.#hkdf(material)
    this.#ck = ck
    this.#k = k
    this.#n = 0
  }

  /** HKDF as the specification writes it out: two outputs. */
  #hkdf(material: Buffer): [Buffer, Buffer] {
    const temporary = createHmac('sha256', this.#ck).update(material).digest()
    const first = createHmac('sha256', temporary)
      .update(Buffer.from([1]))
      .digest()
    const second = createHmac('sha256', temporary)
      .update(first)
      .update(Buffer.from([2]))
      .digest()
    return [first, second]
  }

  #seal(plain: Buffer): Buffer {
    const sealed = seal(this.#k, this.#n++, plain, this.#h)
    this.#mixHash(sealed)
    return sealed
  }

  #open(sealed: Buffer): Buffer {
    const plain = open(this.#k, this.#n++, sealed, this.#h)
    this.#mixHash(sealed)
    return plain
  }
}

function dh(own: NoiseKeyPair, remote: Buffer): Buffer {
  const publicKey = createPublicKey({ key: Buffer.concat([spki, remote]), format: 'der', type: 'spki' })
  return diffieHellman({ privateKey: own.privateKey, publicKey })
}

function nonce(n: number): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeBigUInt64BE(BigInt(n), 4)
  return bytes
}

function seal(key: Buffer, n: number, plain: Buffer, associated: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce(n)).setAAD(associated)
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function open(key: Buffer, n: number, sealed: Buffer, associated: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce(n)).setAAD(associated).setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])
}

/** A length-delimited protobuf field. */
function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(content.length), content])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest])
    bytes.push((rest & 0x7f) | 0x80)
  }
}

/** The fields of a protobuf message: bytes as they are, numbers as a big-endian Buffer of 8. */
function fields(message: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  let at = 0
  const read = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(message[at++] ?? 0)
      value |= (byte & 0x7fn) << shift
      if (byte < 0x80n) return value
    }
  }
  while (at < message.length) {
    const key = Number(read())
    const value = read()
    if ((key & 7) === 2) {
      found.set(key >> 3, message.subarray(at, at + Number(value)))
      at += Number(value)
    } else {
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64BE(value)
      found.set(key >> 3, bytes)
    }
  }
  return found
}

export interface Certificate {
  signed: Buffer
  signature: Buffer
  serial: number
  issuerSerial: number
  key: Buffer
  notBefore: number
  notAfter: number
}

export function decodeCertificateChain(payload: Buffer): { intermediate: Certificate; leaf: Certificate } {
  const chain = fields(payload)
  return { leaf: certificate(chain.get(1)), intermediate: certificate(chain.get(2)) }
}

function certificate(bytes: Buffer = Buffer.alloc(0)): Certificate {
  const outer = fields(bytes)
  const signed = outer.get(1) ?? Buffer.alloc(0)
  const details = fields(signed)
  const number = (index: number) => Number(details.get(index)?.readBigUInt64BE() ?? 0n)
  return {
    signed,
    signature: outer.get(2) ?? Buffer.alloc(0),
    serial: number(1),
    issuerSerial: number(2),
    key: details.get(3) ?? Buffer.alloc(0),
    notBefore: number(4),
    notAfter: number(5),
  }
}
