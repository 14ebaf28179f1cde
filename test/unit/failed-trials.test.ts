// What libsignal leaves behind when it tries a message on several sessions, against libsignal itself.
import { Curve, generateRegistrationId } from '@whiskeysockets/baileys'
import { ProtocolAddress, SessionBuilder, SessionCipher, SessionRecord, type SignalStorage } from 'libsignal'
import { beforeAll, expect, test } from 'vitest'
import { hasSeveralSessions, withoutFailedTrials } from '../../src/platform/failed-trials.ts'
import { quietConsole } from '../../src/platform/quiet-console.ts'

beforeAll(() => quietConsole())

function newKeyPair(): { pubKey: Buffer; privKey: Buffer } {
  const { public: bare, private: privKey } = Curve.generateKeyPair()
  return { pubKey: Buffer.concat([Buffer.of(5), bare]), privKey: Buffer.from(privKey) }
}

/** One device with one peer; `repairs` says whether it undoes failed trials. */
class Device {
  readonly identity = newKeyPair()
  readonly registrationId = generateRegistrationId()
  readonly signedPreKey = newKeyPair()
  readonly preKeys = new Map<number, ReturnType<typeof newKeyPair>>()
  readonly repairs: boolean
  record: unknown
  readonly peer = new ProtocolAddress('peer', 0)

  constructor(repairs: boolean) {
    this.repairs = repairs
  }

  get storage(): SignalStorage {
    return {
      loadSession: async () => (this.record ? SessionRecord.deserialize(this.record as Uint8Array) : null),
      storeSession: async (_id: string, record: SessionRecord) => void (this.record = record.serialize()),
      isTrustedIdentity: () => true,
      loadPreKey: async (id: number | string) => this.preKeys.get(Number(id)),
      removePreKey: (id: number) => void this.preKeys.delete(id),
      loadSignedPreKey: () => this.signedPreKey,
      getOurRegistrationId: () => this.registrationId,
      getOurIdentity: () => this.identity,
    }
  }

  /** Starts a session with `other`, beside whatever there is. */
  async start(other: Device, id: number): Promise<void> {
    const preKey = newKeyPair()
    other.preKeys.set(id, preKey)
    const { pubKey: publicKey } = other.signedPreKey
    const signature = Curve.sign(other.identity.privKey, publicKey)
    await new SessionBuilder(this.storage, this.peer).initOutgoing({
      registrationId: other.registrationId,
      identityKey: other.identity.pubKey,
      signedPreKey: { keyId: 1, publicKey, signature },
      preKey: { keyId: id, publicKey: preKey.pubKey },
    })
  }

  async encrypt(text: string): Promise<{ type: number; body: Buffer }> {
    const { type, body } = await new SessionCipher(this.storage, this.peer).encrypt(Buffer.from(text))
    return { type, body: Buffer.from(body as unknown as Uint8Array) }
  }

  async decrypt({ type, body }: { type: number; body: Buffer }): Promise<string> {
    const before = this.record
    const cipher = new SessionCipher(this.storage, this.peer)
    if (type === 3) return (await cipher.decryptPreKeyWhisperMessage(body)).toString()
    const text = (await cipher.decryptWhisperMessage(body)).toString()
    if (this.repairs) this.record = withoutFailedTrials(before, this.record) ?? this.record
    return text
  }
}

/** A new session is begun on our side while messages of the old one are still under way. */
async function overlap(repairs: boolean): Promise<() => Promise<string>> {
  const [us, them] = [new Device(repairs), new Device(true)]
  await us.start(them, 1)
  await them.decrypt(await us.encrypt('first'))
  await us.decrypt(await them.encrypt('answer'))
  await them.decrypt(await us.encrypt('on the old session'))
  const late = await them.encrypt('late, on the old session')
  await us.start(them, 2)
  const onNew = await us.encrypt('on the new session')
  expect(await us.decrypt(late)).toBe('late, on the old session')
  expect(await them.decrypt(onNew)).toBe('on the new session')
  const answer = await them.encrypt('answer on the new session')
  return () => us.decrypt(answer)
}

test('libsignal alone ruins the new session by reading one message of the old', async () => {
  const read = await overlap(false)
  await expect(read()).rejects.toThrow('No matching sessions')
})

test('with its failed trials undone both sessions read on', async () => {
  const read = await overlap(true)
  expect(await read()).toBe('answer on the new session')
})

const record = (sessions: Record<string, { used: number; state: number }>) => ({
  version: 'v1',
  _sessions: Object.fromEntries(Object.entries(sessions).map(([key, { used, state }]) => [key, { indexInfo: { used }, state }])),
})

test('the last one that changed in the order of trying is the one that fitted, even within one millisecond', () => {
  const before = record({
    old: { used: 5, state: 1 },
    newest: { used: 9, state: 1 },
    same: { used: 5, state: 1 },
    rest: { used: 1, state: 1 },
  })
  const after = record({
    old: { used: 5, state: 2 },
    newest: { used: 9, state: 2 },
    same: { used: 5, state: 2 },
    rest: { used: 1, state: 1 },
  })
  expect(withoutFailedTrials(before, after)).toEqual(
    record({
      old: { used: 5, state: 1 },
      newest: { used: 9, state: 1 },
      same: { used: 5, state: 2 },
      rest: { used: 1, state: 1 },
    }),
  )
})

test('nothing is undone where one session alone changed, or there is only one', () => {
  const before = record({ a: { used: 5, state: 1 }, b: { used: 9, state: 1 } })
  expect(withoutFailedTrials(before, record({ a: { used: 5, state: 1 }, b: { used: 10, state: 2 } }))).toBeNull()
  expect(withoutFailedTrials(before, before)).toBeNull()
  for (const other of [undefined, null, 'x', {}, { _sessions: null }, record({ a: { used: 1, state: 1 } })]) {
    expect(hasSeveralSessions(other)).toBe(false)
    expect(withoutFailedTrials(other, before)).toBeNull()
    expect(withoutFailedTrials(before, other)).toBeNull()
  }
})
