// What tests that speak the protocol bare share: a sandbox with two phones, devices linked to them, and stanzas.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { stanza } from '../../src/sandbox/wire/stanza.ts'
import { RawClient, type RawDevice } from './raw-client.ts'
import { startTestSandbox, type TestSandbox } from './sandbox.ts'

export const shop = '254711000001'
export const asha = '254711000002'
/** Not on WhatsApp. */
export const nobody = '254711000009'

export const jid = (phoneNumber: string, device = 0) => `${phoneNumber}${device ? `:${device}` : ''}@s.whatsapp.net`

export class RawSandbox {
  readonly sandbox: TestSandbox
  readonly #clients: RawClient[] = []

  private constructor(sandbox: TestSandbox) {
    this.sandbox = sandbox
  }

  static async start(): Promise<RawSandbox> {
    const sandbox = await startTestSandbox()
    await sandbox.client.addPhone({ phoneNumber: shop })
    await sandbox.client.addPhone({ phoneNumber: asha })
    return new RawSandbox(sandbox)
  }

  get phones() {
    return this.sandbox.client
  }

  link(phoneNumber: string): Promise<RawDevice> {
    return RawClient.pair(this.sandbox.url, (qr) => this.phones.scan(phoneNumber, qr))
  }

  async connect(...args: [device?: RawDevice, lies?: Parameters<typeof RawClient.connect>[2]]): Promise<RawClient> {
    const client = await RawClient.connect(this.sandbox.url, ...args)
    this.#clients.push(client)
    return client
  }

  /** A newly linked device that takes deliveries. */
  async online(phoneNumber: string): Promise<RawClient> {
    const client = await this.connect(await this.link(phoneNumber))
    await client.activate()
    return client
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close()
    await this.sandbox.close()
  }
}

/** A message whose ciphertext nobody has to understand. */
export function messageTo(to: string, id: string, devices: string[]): BinaryNode {
  const parts = devices.map((device) =>
    stanza('to', { jid: device }, [stanza('enc', { v: '2', type: 'msg' }, Buffer.from(`for ${device}`))]),
  )
  return stanza('message', { to, id, type: 'text' }, [stanza('participants', {}, parts)])
}

export const isMessage = (id: string) => (node: BinaryNode) => node.tag === 'message' && node.attrs['id'] === id

export const ackOf = (client: RawClient, id: string) =>
  client.waitFor(`ack of ${id}`, ({ tag, attrs }) => tag === 'ack' && attrs['class'] === 'message' && attrs['id'] === id)

export const ackFor = (node: BinaryNode) => stanza('ack', { class: node.tag, id: node.attrs['id'], to: node.attrs['from'] })
