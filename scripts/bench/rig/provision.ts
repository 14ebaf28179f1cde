// Linked devices to measure with: paired once per run, and kept as files from which every measurement begins anew.
import { createPrivateKey } from 'node:crypto'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  BufferJSON,
  configureSuccessfulPairing,
  getNextPreKeysNode,
  initAuthCreds,
  type AuthenticationCreds,
  type BinaryNode,
  type SignalDataSet,
} from '@whiskeysockets/baileys'
import { childOf } from '../../../src/sandbox/wire/stanza.ts'
import { RawClient, type RawDevice } from '../../../test/support/raw-client.ts'
import { startTestSandbox, type TestSandbox } from '../../../test/support/sandbox.ts'
import { endsWithUs } from './leftovers.ts'

/** What Baileys needs to log in, as JSON with Baileys' own way of writing bytes. */
export interface LinkedDevice {
  phoneNumber: string
  lid: string | null
  creds: string
  keys: { type: string; id: string; value: string }[]
}

export interface Provisioned {
  devices: LinkedDevice[]
  /** Phones that are written to; `recipientsOf` shares them out. */
  people: string[]
  /** The devices as a file, for processes. */
  devicesPath: string
  /** A sandbox process that knows them all, as it was right after the pairings. */
  startSandbox(name: string): Promise<TestSandbox>
}

const peopleCount = 40
const batchSize = 20
/** A new device brings 812 one-time keys, which is what makes pairing dear. Nobody writes to these devices: a few will do. */
const oneTimeKeys = 30

export async function provision(dir: string, count: number): Promise<Provisioned> {
  const original = join(dir, 'provisioned')
  await mkdir(original, { recursive: true })
  const people = Array.from({ length: peopleCount }, (_, index) => String(254_711_000_000 + index))
  const numbers = Array.from({ length: count }, (_, index) => String(254_720_000_000 + index))
  const devices: LinkedDevice[] = []
  const sandbox = await startSandboxProcess(original)
  try {
    for (const phoneNumber of [...people, ...numbers]) await sandbox.client.addPhone({ phoneNumber })
    for (let start = 0; start < count; start += batchSize) {
      const batch = numbers.slice(start, start + batchSize)
      devices.push(...(await Promise.all(batch.map((number) => link(sandbox, number)))))
    }
  } finally {
    await sandbox.close()
  }
  const devicesPath = join(original, 'devices.json')
  await writeFile(devicesPath, JSON.stringify(devices))
  return {
    devices,
    people,
    devicesPath,
    startSandbox: async (name) => {
      const dataDir = join(dir, `sandbox-${name}`)
      await cp(join(original, 'sandbox'), join(dataDir, 'sandbox'), { recursive: true })
      return startSandboxProcess(dataDir)
    },
  }
}

async function startSandboxProcess(dataDir: string): Promise<TestSandbox> {
  const sandbox = await startTestSandbox({ process: true, dataDir })
  const ended = endsWithUs(sandbox.processId)
  return { ...sandbox, close: () => sandbox.close().finally(ended) }
}

/** Two people for each session: both are warm after one round. */
export function recipientsOf(people: readonly string[], index: number): string[] {
  return [people[index % people.length] ?? '', people[(index + 7) % people.length] ?? '']
}

async function link(sandbox: TestSandbox, phoneNumber: string): Promise<LinkedDevice> {
  const creds = { ...initAuthCreds(), registrationId: 7 }
  const device = deviceOf(creds)
  const pairing = await RawClient.connect(sandbox.url, device)
  const scanned = sandbox.client.scan(phoneNumber, await pairing.qr())
  const success = await pairing.waitFor('pair-success', (node) => childOf(node, 'pair-success') !== undefined)
  const { creds: paired, reply } = configureSuccessfulPairing(success, creds)
  pairing.send(reply)
  const { deviceJid } = await scanned
  await pairing.closed()
  Object.assign(creds, paired)
  const [user, number] = deviceJid.split('@', 1)[0]?.split(':') ?? []
  Object.assign(device, { user, device: Number(number) })
  const keys = await uploadPrekeys(sandbox, device, creds)
  return { phoneNumber, lid: creds.me?.lid?.replace(/:\d+@/, '@') ?? null, creds: written(creds), keys }
}

async function uploadPrekeys(sandbox: TestSandbox, device: RawDevice, creds: AuthenticationCreds) {
  const made: LinkedDevice['keys'] = []
  const known = new Map<string, unknown>()
  const keys = {
    get: async (_: string, ids: string[]) => Object.fromEntries(ids.map((id) => [id, known.get(id)])) as never,
    set: async (data: SignalDataSet) => {
      for (const [id, value] of Object.entries(data['pre-key'] ?? {})) {
        known.set(id, value)
        made.push({ type: 'pre-key', id, value: written(value) })
      }
    },
  }
  const { update, node } = await getNextPreKeysNode({ creds, keys }, oneTimeKeys)
  const client = await RawClient.connect(sandbox.url, device)
  await client.activate()
  await client.query('encrypt', 'set', node.content as BinaryNode[])
  client.close()
  Object.assign(creds, update)
  return made
}

function deviceOf({ noiseKey, signedIdentityKey, signedPreKey, advSecretKey }: AuthenticationCreds): RawDevice {
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), noiseKey.private])
  const pair = (keys: { private: Uint8Array; public: Uint8Array }) => ({
    privateKey: Buffer.from(keys.private),
    publicKey: Buffer.from(keys.public),
  })
  return {
    noiseKey: {
      privateKey: createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }),
      publicBytes: Buffer.from(noiseKey.public),
    },
    identity: pair(signedIdentityKey),
    signedPrekey: pair(signedPreKey.keyPair),
    advSecret: Buffer.from(advSecretKey, 'base64'),
    user: '',
    device: 0,
    passive: true,
  }
}

function written(value: unknown): string {
  return JSON.stringify(value, BufferJSON.replacer)
}
