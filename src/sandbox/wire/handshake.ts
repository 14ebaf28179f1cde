// The server's side of WhatsApp's handshake: Noise XX, whose first message carries no payload and hashes none.
import { proto } from '@whiskeysockets/baileys/WAProto/index.js'
import { handshakePrologue } from './frames.ts'
import { newKeyPair, type KeyPair } from './keys.ts'
import { agree, SymmetricState, type CipherState } from './noise.ts'
import type { ServerIdentity } from './server-identity.ts'

const noiseProtocol = 'Noise_XX_25519_AESGCM_SHA256'

export interface FinishedHandshake {
  clientStaticKey: Buffer
  /** Encoded ClientPayload. */
  payload: Buffer
  receive: CipherState
  send: CipherState
}

/** One handshake. Every method throws when the client's bytes are not right; the connection is then of no use. */
export class ServerHandshake {
  readonly #identity: ServerIdentity
  readonly #ephemeral: KeyPair
  readonly #noise = new SymmetricState(noiseProtocol)
  #greeted = false

  constructor(identity: ServerIdentity, ephemeral: KeyPair = newKeyPair()) {
    this.#identity = identity
    this.#ephemeral = ephemeral
    this.#noise.mixHash(handshakePrologue)
  }

  get greeted(): boolean {
    return this.#greeted
  }

  /** Takes ClientHello, gives ServerHello. */
  hello(frame: Uint8Array): Buffer {
    const clientEphemeral = proto.HandshakeMessage.decode(frame).clientHello?.ephemeral
    if (clientEphemeral?.length !== 32) throw new Error('ClientHello holds no ephemeral key.')
    this.#noise.mixHash(clientEphemeral)
    this.#noise.mixHash(this.#ephemeral.publicKey)
    this.#noise.mixKey(agree(this.#ephemeral.privateKey, clientEphemeral))
    const sealedStatic = this.#noise.encryptAndHash(this.#identity.staticKey.publicKey)
    this.#noise.mixKey(agree(this.#identity.staticKey.privateKey, clientEphemeral))
    const payload = this.#noise.encryptAndHash(this.#identity.certificateChain)
    this.#greeted = true
    const hello = { serverHello: { ephemeral: this.#ephemeral.publicKey, static: sealedStatic, payload } }
    return Buffer.from(proto.HandshakeMessage.encode(hello).finish())
  }

  /** Takes ClientFinish. */
  finish(frame: Uint8Array): FinishedHandshake {
    const finish = proto.HandshakeMessage.decode(frame).clientFinish
    if (!finish?.static || !finish.payload) throw new Error('ClientFinish is not complete.')
    const clientStaticKey = this.#noise.decryptAndHash(finish.static)
    this.#noise.mixKey(agree(this.#ephemeral.privateKey, clientStaticKey))
    const payload = this.#noise.decryptAndHash(finish.payload)
    const { fromInitiator, fromResponder } = this.#noise.split()
    return { clientStaticKey, payload, receive: fromInitiator, send: fromResponder }
  }
}
