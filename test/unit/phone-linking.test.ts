// What linking rests on: the text of the QR code, the code typed by hand, and signatures that can be checked.
import { createCipheriv, hkdfSync, pbkdf2Sync, randomBytes } from 'node:crypto'
import { proto } from '@whiskeysockets/baileys'
import { assert as assertProperty, property, string } from 'fast-check'
import { calculateAgreement, calculateSignature } from 'libsignal/src/curve.js'
import { describe, expect, it } from 'vitest'
import {
  issueIdentity,
  sealIdentity,
  verifyCountersigned,
  verifyForeignIdentity,
} from '../../src/sandbox/phones/device-identity.ts'
import { answerCompanionHello, normalizeCode, openKeyBundle } from '../../src/sandbox/phones/pairing-code.ts'
import { parseQrText } from '../../src/sandbox/phones/qr-text.ts'
import { bare, newKeyPair } from '../../src/sandbox/phones/key-pair.ts'

const key = () => randomBytes(32).toString('base64')

describe('the text of a QR code', () => {
  it('is read with and without its address, with and without a platform', () => {
    const keys = [key(), key(), key()]
    const plain = ['2@ref', ...keys].join(',')
    for (const text of [plain, `${plain},1`, `https://wa.me/settings/linked_devices#${plain},1`, ` ${plain},1\n`]) {
      expect(parseQrText(text)).toMatchObject({ ref: '2@ref' })
      expect(parseQrText(text)?.advSecret.toString('base64')).toBe(keys[2])
    }
  })

  it('may have commas in its ref', () => {
    expect(parseQrText(['a,b', key(), key(), key(), '2'].join(','))?.ref).toBe('a,b')
  })

  it('is refused when anything is missing, and never breaks', () => {
    for (const text of [
      '',
      'hello',
      ['ref', key(), key()].join(','),
      ['', key(), key(), key()].join(','),
      `ref,${key()},${key()},short`,
    ]) {
      expect(parseQrText(text)).toBeUndefined()
    }
    const calm = property(string(), (text) => parseQrText(text) === undefined || text.includes(','))
    expect(() => assertProperty(calm)).not.toThrow()
  })
})

describe('a device identity', () => {
  const account = newKeyPair()
  const companion = newKeyPair()
  const countersign = (details: Uint8Array, signer = companion) =>
    Buffer.from(
      calculateSignature(
        signer.privKey,
        Buffer.concat([Buffer.from([6, 1]), details, bare(companion.pubKey), bare(account.pubKey)]),
      ),
    )

  it('is accepted with the companion’s own signature, and with no other', () => {
    const issued = issueIdentity(account, bare(companion.pubKey), 1, 7)
    const { details } = proto.ADVSignedDeviceIdentityHMAC.decode(sealIdentity(issued, randomBytes(32)))
    const offered = proto.ADVSignedDeviceIdentity.decode(details ?? new Uint8Array())
    const answer = (change: proto.IADVSignedDeviceIdentity) => {
      const { details, accountSignature } = offered
      const deviceSignature = countersign(issued.details)
      return proto.ADVSignedDeviceIdentity.encode({
        details: details ?? null,
        accountSignature: accountSignature ?? null,
        deviceSignature,
        ...change,
      }).finish()
    }
    expect(verifyCountersigned(issued, answer({}))).toBe(true)
    expect(verifyCountersigned(issued, answer({ deviceSignature: countersign(issued.details, newKeyPair()) }))).toBe(false)
    expect(verifyCountersigned(issued, answer({ deviceSignature: Buffer.alloc(64) }))).toBe(false)
    expect(verifyCountersigned(issued, answer({ deviceSignature: null }))).toBe(false)
    expect(verifyCountersigned(issued, answer({ details: Buffer.from('other') }))).toBe(false)
    expect(verifyCountersigned(issued, answer({ accountSignature: Buffer.alloc(64) }))).toBe(false)
    expect(verifyCountersigned(issued, randomBytes(40))).toBe(false)
    expect(verifyForeignIdentity(answer({}), account.pubKey, companion.pubKey)).toBe(true)
    expect(verifyForeignIdentity(answer({}), newKeyPair().pubKey, companion.pubKey)).toBe(false)
    expect(verifyForeignIdentity(answer({}), account.pubKey, newKeyPair().pubKey)).toBe(false)
  })
})

describe('a pairing code', () => {
  it('is read as people type it', () => {
    expect(['abcd-efgh', ' ABCD EFGH', '12345678'].map(normalizeCode)).toEqual(['ABCDEFGH', 'ABCDEFGH', '12345678'])
    expect(['ABCDEFG', 'ABCD-EFGHI', 'ABCD€FGH', ''].map(normalizeCode)).toEqual([undefined, undefined, undefined, undefined])
  })

  it('gives both sides one secret when it is the same code, and nothing otherwise', async () => {
    const phone = newKeyPair()
    const companion = newCompanion('ABCDEFGH')
    const half = await answerCompanionHello('ABCDEFGH', companion.hello)
    const { bundle, advSecret } = companion.finish(half.wrappedEphemeral, bare(phone.pubKey))
    expect(openKeyBundle(half, phone, bundle, companion.identity)?.advSecret).toEqual(advSecret)

    const spoiled = Buffer.from(bundle)
    spoiled[60] = (spoiled[60] ?? 0) ^ 1
    expect(openKeyBundle(half, phone, spoiled, companion.identity)).toBeUndefined()
    expect(openKeyBundle(half, phone, bundle, randomBytes(32))).toBeUndefined()
    expect(openKeyBundle(half, newKeyPair(), bundle, companion.identity)).toBeUndefined()
    expect(openKeyBundle(half, phone, bundle.subarray(1), companion.identity)).toBeUndefined()

    const wrong = await answerCompanionHello('ABCDEFGJ', companion.hello)
    const answer = companion.finish(wrong.wrappedEphemeral, bare(phone.pubKey))
    expect(openKeyBundle(wrong, phone, answer.bundle, companion.identity)).toBeUndefined()
  })
})

/** The other side, written from the protocol's description and not from any client's code. */
function newCompanion(code: string) {
  const ephemeral = newKeyPair()
  const identity = newKeyPair()
  const ctr = (salt: Buffer, iv: Buffer) => createCipheriv('aes-256-ctr', pbkdf2Sync(code, salt, 131_072, 32, 'sha256'), iv)
  const [salt, iv] = [randomBytes(32), randomBytes(16)]
  const hello = Buffer.concat([salt, iv, ctr(salt, iv).update(bare(ephemeral.pubKey))])
  const finish = (wrapped: Buffer, phoneIdentity: Buffer) => {
    const phoneEphemeral = ctr(wrapped.subarray(0, 32), wrapped.subarray(32, 48)).update(wrapped.subarray(48))
    const typed = (publicKey: Buffer) => Buffer.concat([Buffer.from([5]), publicKey])
    const shared = Buffer.from(calculateAgreement(typed(phoneEphemeral), ephemeral.privKey))
    const [bundleSalt, nonce, random] = [randomBytes(32), randomBytes(12), randomBytes(32)]
    const info = 'link_code_pairing_key_bundle_encryption_key'
    const cipher = createCipheriv('aes-256-gcm', Buffer.from(hkdfSync('sha256', shared, bundleSalt, info, 32)), nonce)
    const body = Buffer.concat([cipher.update(Buffer.concat([bare(identity.pubKey), phoneIdentity, random])), cipher.final()])
    const identityShared = calculateAgreement(typed(phoneIdentity), identity.privKey)
    const secret = hkdfSync('sha256', Buffer.concat([shared, identityShared, random]), Buffer.alloc(0), 'adv_secret', 32)
    return { bundle: Buffer.concat([bundleSalt, nonce, body, cipher.getAuthTag()]), advSecret: Buffer.from(secret) }
  }
  return { hello, identity: bare(identity.pubKey), finish }
}
