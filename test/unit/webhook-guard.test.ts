// The guard against requests into private networks: literals in every spelling, names, ports, and the networks that are allowed.
import type { LookupAddress } from 'node:dns'
import { describe, expect, test } from 'vitest'
import { createGuardPolicy, guardUrl, isAllowedAddress, type Lookup } from '../../src/webhooks/guard-url.ts'

const names: Record<string, string[]> = {
  'public.test': ['93.184.215.14', '2606:2800:21f:cb07:6820:80da:af6b:8b2c'],
  'inside.test': ['10.1.2.3'],
  'half.test': ['93.184.215.14', '127.0.0.1'],
  'inside6.test': ['fd00::1'],
  'mapped.test': ['::ffff:169.254.169.254'],
}
const lookup: Lookup = (name, _, callback) => {
  const found = names[name]?.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 }))
  callback(found ? null : Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), found ?? [])
}
const policy = createGuardPolicy([], lookup)

describe('refused', () => {
  test.each([
    'http://127.0.0.1/',
    'http://127.1/',
    'http://0/',
    'http://0.0.0.0/',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://017700000001/',
    'http://[::1]/',
    'http://[::]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:7f00:1]/',
    'http://[::127.0.0.1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://[2002:7f00:1::]/',
    'http://[fe80::1]/',
    'http://[fc00::1]/',
    'http://[ff02::1]/',
    'http://[2001:db8::1]/',
    'http://169.254.169.254/latest/meta-data/',
    'http://168.63.129.16/',
    'http://100.100.100.200/',
    'http://10.0.0.1/',
    'http://172.16.0.1/',
    'http://192.168.1.1/',
    'http://198.18.0.1/',
    'http://224.0.0.1/',
    'http://255.255.255.255/',
    'http://①②⑦.0.0.1/',
    'http://inside.test/',
    'http://inside6.test/',
    'http://mapped.test/',
    'http://half.test/',
    'http://public.test:22/',
    'http://public.test:25/',
    'http://user:password@public.test/',
    'ftp://public.test/',
    'file:///etc/passwd',
    'gopher://public.test/',
    'javascript:alert(1)',
    '//public.test/',
    'public.test',
    '',
    'http://',
  ])('%s', async (url) => {
    await expect(guardUrl(url, policy)).rejects.toMatchObject({ code: 'url_not_allowed', status: 400 })
  })

  test.each(['localhost', 'LOCALHOST'])('%s, by the real resolver', async (host) => {
    await expect(guardUrl(`http://${host}/`, createGuardPolicy([]))).rejects.toMatchObject({ code: 'url_not_allowed' })
  })

  test('an address of 3,000 characters', async () => {
    await expect(guardUrl(`http://public.test/${'a'.repeat(3_000)}`, policy)).rejects.toMatchObject({ code: 'url_not_allowed' })
  })

  test.each(['socks5://2130706433:1080', 'socks5://127.1:1080', 'socks5://[::1]:1080'])('%s as a proxy', async (url) => {
    const options = { protocols: ['socks5:'], allowCredentials: true }
    await expect(guardUrl(url, policy, options)).rejects.toMatchObject({ code: 'url_not_allowed' })
  })
})

describe('allowed', () => {
  test.each([
    'http://public.test/',
    'https://public.test/hook?x=1',
    'https://public.test:8443/',
    'http://93.184.215.14/',
    'http://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/',
    'https://not-there-yet.test/',
  ])('%s', async (url) => {
    await expect(guardUrl(url, policy)).resolves.toBeInstanceOf(URL)
  })

  test('a proxy with a password, where the caller says so', async () => {
    const url = await guardUrl('socks5://user:password@public.test:1080', policy, {
      protocols: ['socks5:'],
      allowCredentials: true,
    })
    expect(url.password).toBe('password')
  })

  test('a private address in an allowed network, and only there', () => {
    const allowing = createGuardPolicy(['127.0.0.0/8', '10.1.0.0/16', 'fd00::/64', '192.168.7.7'])
    const verdict = (address: string) => isAllowedAddress(address, allowing)
    expect(['127.0.0.1', '::ffff:127.0.0.1', '10.1.9.9', 'fd00::5', '192.168.7.7'].map(verdict)).toEqual(Array(5).fill(true))
    expect(['10.2.0.1', 'fd01::5', '192.168.7.8', '::1', 'not an address'].map(verdict)).toEqual(Array(5).fill(false))
  })

  test('a network that is none ends the process with one sentence', () => {
    expect(() => createGuardPolicy(['10.0.0.0/33'])).toThrow(/UJUMBE_WEBHOOK_ALLOWED_NETWORKS: 10\.0\.0\.0\/33/)
  })
})
