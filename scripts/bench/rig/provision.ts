// Linked devices to measure with: paired once and kept in the data directory, as files from which every measurement begins anew.
import { createPrivateKey } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
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
import { projectRoot } from '../../support/fleet.ts'
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

const devicesFile = 'devices.json'
const peopleCount = 40
const batchSize = 20
/** A new device brings 812 one-time keys, which is what makes pairing dear. Nobody writes to these devices: a few will do. */
const oneTimeKeys = 30

/** Those of an earlier run are taken when there are enough, and the sandbox still knows them. */
export async function provision(dir: string, count: number, say: (line: string) => void): Promise<Provisioned> {
  const people = Array.from({ length: peopleCount }, (_, index) => String(254_711_000_000 + index))
  const kept = join(projectRoot, 'data', 'bench')
  let devices = await readKept(kept)
  if (devices.length < count || !(await isKnown(kept, devices))) {
    say(`linking ${count} devices, once`)
    devices = await linkAll(kept, people, count)
  }
  return {
    devices,
    people,
    devicesPath: join(kept, devicesFile),
    startSandbox: async (name) => {
      const dataDir = join(dir, `sandbox-${name}`)
      await cp(join(kept, 'sandbox'), join(dataDir, 'sandbox'), { recursive: true })
      return startSandboxProcess(dataDir)
    },
  }
}

async function readKept(kept: string): Promise<LinkedDevice[]> {
  try {
    return JSON.parse(await readFile(join(kept, devicesFile), 'utf8')) as LinkedDevice[]
  } catch {
    return [] // none, or half written: they are made anew
  }
}

/** A sandbox of another version ignores what was kept. */
async function isKnown(kept: string, devices: LinkedDevice[]): Promise<boolean> {
  const last = devices.at(-1)
  if (!last) return true
  const copy = await mkdtemp(join(tmpdir(), 'uj-bench-'))
  try {
    await cp(join(kept, 'sandbox'), join(copy, 'sandbox'), { recursive: true })
    const sandbox = await startSandboxProcess(copy)
    try {
      return (await sandbox.client.phone(last.phoneNumber)).linkedDevices.length === 1
    } finally {
      await sandbox.close()
    }
  } catch {
    return false
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

/** Complete or not there at all. */
async function linkAll(kept: string, people: readonly string[], count: number): Promise<LinkedDevice[]> {
  const draft = `${kept}.${process.pid}`
  const numbers = Array.from({ length: count }, (_, index) => String(254_720_000_000 + index))
  const devices: LinkedDevice[] = []
  await mkdir(draft, { recursive: true, mode: 0o700 })
  try {
    const sandbox = await startSandboxProcess(draft)
    try {
      for (const phoneNumber of [...people, ...numbers]) await sandbox.client.addPhone({ phoneNumber })
      for (let start = 0; start < count; start += batchSize) {
        const batch = numbers.slice(start, start + batchSize)
        devices.push(...(await Promise.all(batch.map((number) => link(sandbox, number)))))
      }
    } finally {
      await sandbox.close()
    }
    await writeFile(join(draft, devicesFile), JSON.stringify(devices), { mode: 0o600 })
    await rm(kept, { recursive: true, force: true })
    await rename(draft, kept)
    return devices
  } finally {
    await rm(draft, { recursive: true, force: true })
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
