// A client that speaks the protocol bare: it sends exactly the stanzas a test names and hides none that come, and can lie.
import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { proto, type BinaryNode } from '@whiskeysockets/baileys'
import { WebSocket } from 'ws'
import { encodeFrame, handshakePrologue } from '../../src/sandbox/wire/frames.ts'
import { newKeyPair, sign, withType, type KeyPair } from '../../src/sandbox/wire/keys.ts'
import { bigEndian, bytesOf, childOf, decodeStanza, encodeStanza, stanza } from '../../src/sandbox/wire/stanza.ts'
import { newNoiseKeyPair, NoiseClient, type NoiseKeyPair } from './noise-client.ts'
import { waitFor } from './wait.ts'

export interface RawDevice {
  noiseKey: NoiseKeyPair
  identity: KeyPair
  signedPrekey: KeyPair
  advSecret: Buffer
  user: string
  device: number
  /** 0 pretends not to be passive at login. */
  passive: boolean
}

export function newRawDevice(): RawDevice {
  const keys = { noiseKey: newNoiseKeyPair(), identity: newKeyPair(), signedPrekey: newKeyPair() }
  return { ...keys, advSecret: randomBytes(32), user: '', device: 0, passive: true }
}

export interface PairingLies {
  /** Signs with another key than the one it registered. */
  forgedSignature?: boolean
  /** Registers a signed prekey that another identity signed. */
  forgedPrekey?: boolean
}

export class RawClient {
  readonly device: RawDevice
  /** Everything that came since the handshake. */
  readonly received: BinaryNode[] = []
  isClosed = false
  readonly #socket: WebSocket
  readonly #noise: NoiseClient
  #frames: Buffer = Buffer.alloc(0)
  #isSecure = false
  #nextId = 1

  private constructor(socket: WebSocket, device: RawDevice) {
    this.#socket = socket
    this.device = device
    this.#noise = new NoiseClient(handshakePrologue, device.noiseKey)
    socket.on('close', () => (this.isClosed = true))
    socket.on('error', () => (this.isClosed = true))
  }

  /** Connects to be paired, or, when the device has been, to log in. */
  static async connect(url: string, device: RawDevice = newRawDevice(), lies: PairingLies = {}): Promise<RawClient> {
    const socket = new WebSocket(url, { perMessageDeflate: false })
    const client = new RawClient(socket, device)
    await once(socket, 'open')
    const hello = once(socket, 'message')
    socket.send(Buffer.concat([Buffer.from(handshakePrologue), encodeFrame(client.#noise.hello())]))
    const [answer] = (await hello) as [Buffer]
    socket.on('message', (data) => client.#take(data as Buffer))
    socket.send(encodeFrame(client.#noise.finish(answer.subarray(3), client.#payload(lies))))
    client.#isSecure = true
    return client
  }

  /** Everything up to being a linked device, by way of a scan; the connection has ended afterwards. */
  static async pair(url: string, scan: (qr: string) => Promise<unknown>, lies: PairingLies = {}): Promise<RawDevice> {
    const client = await RawClient.connect(url, newRawDevice(), lies)
    const scanned = scan(await client.qr())
    // Awaited below; a refusal must not be unhandled meanwhile.
    scanned.catch(() => undefined)
    const success = await client.waitFor('pair-success', (node) => childOf(node, 'pair-success') !== undefined)
    client.answerPairing(success, lies)
    await scanned
    await client.waitFor('the restart', (node) => node.tag === 'stream:error')
    await client.closed()
    return client.device
  }

  newId(): string {
    return `raw-${this.#nextId++}`
  }

  send(...nodes: BinaryNode[]): void {
    this.sendBytes(Buffer.concat(nodes.map((node) => encodeFrame(this.#noise.encrypt(encodeStanza(node))))))
  }

  sendBytes(bytes: Buffer): void {
    this.#socket.send(bytes)
  }

  /** One frame, cut into several WebSocket messages. */
  sendInPieces(node: BinaryNode): void {
    for (const byte of encodeFrame(this.#noise.encrypt(encodeStanza(node)))) this.#socket.send(Buffer.from([byte]))
  }

  async query(xmlns: string, type: string, content?: BinaryNode[], to = '@s.whatsapp.net'): Promise<BinaryNode> {
    const id = this.newId()
    this.send(stanza('iq', { id, xmlns, type, to }, content))
    return this.waitFor(`the answer to ${xmlns}`, (node) => node.tag === 'iq' && node.attrs['id'] === id)
  }

  async waitFor(what: string, wanted: (node: BinaryNode) => boolean): Promise<BinaryNode> {
    return waitFor(what, () => this.received.find(wanted), 10_000, 5)
  }

  async closed(): Promise<void> {
    await waitFor('the end of the connection', () => this.isClosed, 10_000, 5)
  }

  /** Waits until it is logged in and takes deliveries. */
  async activate(): Promise<void> {
    await this.waitFor('success', (node) => node.tag === 'success')
    await this.query('passive', 'set', [stanza('active')])
    await this.waitFor('the offline count', (node) => childOf(node, 'offline') !== undefined)
  }

  close(): void {
    this.#socket.terminate()
  }

  async qr(): Promise<string> {
    const offer = await this.waitFor('the refs', (node) => childOf(node, 'pair-device') !== undefined)
    this.send(stanza('iq', { to: '@s.whatsapp.net', type: 'result', id: offer.attrs['id'] }))
    const { noiseKey, identity, advSecret } = this.device
    const parts = [noiseKey.publicBytes, identity.publicKey, advSecret].map((part) => part.toString('base64'))
    return [bytesOf(childOf(offer, 'pair-device', 'ref')).toString(), ...parts, '1'].join(',')
  }

  /** Checks the account's half and signs its own. */
  answerPairing(iq: BinaryNode, lies: PairingLies = {}): void {
    const success = childOf(iq, 'pair-success')
    const { details, hmac } = proto.ADVSignedDeviceIdentityHMAC.decode(bytesOf(childOf(success, 'device-identity')))
    const expected = createHmac('sha256', this.device.advSecret)
      .update(details ?? new Uint8Array())
      .digest()
    if (!expected.equals(Buffer.from(hmac ?? []))) throw new Error('the HMAC of the device identity is wrong')
    const identity = proto.ADVSignedDeviceIdentity.decode(details ?? new Uint8Array())
    const { publicKey, privateKey } = this.device.identity
    const signed = [Buffer.from([6, 1]), identity.details, publicKey, identity.accountSignatureKey].map((part) =>
      Buffer.from(part ?? []),
    )
    identity.deviceSignature = sign(lies.forgedSignature ? newKeyPair().privateKey : privateKey, Buffer.concat(signed))
    identity.accountSignatureKey = null
    const match = /^(\d+):(\d+)@/.exec(childOf(success, 'device')?.attrs['jid'] ?? '')
    this.device.user = match?.[1] ?? ''
    this.device.device = Number(match?.[2])
    const answer = stanza('device-identity', {}, Buffer.from(proto.ADVSignedDeviceIdentity.encode(identity).finish()))
    const attrs = { to: '@s.whatsapp.net', type: 'result', id: iq.attrs['id'] }
    this.send(stanza('iq', attrs, [stanza('pair-device-sign', {}, [answer])]))
  }

  /** Brings one-time keys, as clients do after their first login. */
  async uploadPrekeys(count: number, signer = this.device.identity): Promise<BinaryNode> {
    const { identity, signedPrekey } = this.device
    const keys = Array.from({ length: count }, (_, index) =>
      stanza('key', {}, [stanza('id', {}, bigEndian(index + 1, 3)), stanza('value', {}, newKeyPair().publicKey)]),
    )
    return this.query('encrypt', 'set', [
      stanza('registration', {}, bigEndian(7, 4)),
      stanza('type', {}, Buffer.from([5])),
      stanza('identity', {}, identity.publicKey),
      stanza('list', {}, keys),
      stanza('skey', {}, [
        stanza('id', {}, bigEndian(1, 3)),
        stanza('value', {}, signedPrekey.publicKey),
        stanza('signature', {}, sign(signer.privateKey, withType(signedPrekey.publicKey))),
      ]),
    ])
  }

  #payload(lies: PairingLies): Buffer {
    const { user, device, passive, identity, signedPrekey } = this.device
    if (user !== '') return encodePayload({ username: Number(user), device, passive, pull: true })
    const signer = lies.forgedPrekey ? newKeyPair() : identity
    return encodePayload({
      passive: false,
      devicePairingData: {
        eRegid: bigEndian(7, 4),
        eKeytype: Buffer.from([5]),
        eIdent: identity.publicKey,
        eSkeyId: bigEndian(1, 3),
        eSkeyVal: signedPrekey.publicKey,
        eSkeySig: sign(signer.privateKey, withType(signedPrekey.publicKey)),
      },
    })
  }

  #take(data: Buffer): void {
    if (!this.#isSecure) return
    this.#frames = Buffer.concat([this.#frames, data])
    while (this.#frames.length >= 3 && this.#frames.length >= 3 + this.#frames.readUIntBE(0, 3)) {
      const end = 3 + this.#frames.readUIntBE(0, 3)
      this.received.push(decodeStanza(this.#noise.decrypt(this.#frames.subarray(3, end))))
      this.#frames = this.#frames.subarray(end)
    }
  }
}

function encodePayload(payload: proto.IClientPayload): Buffer {
  return Buffer.from(proto.ClientPayload.encode(payload).finish())
}
