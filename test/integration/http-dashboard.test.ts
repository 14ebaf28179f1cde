// How the dashboard is served: small, cached by its hashes, without data, under a policy that lets nothing in from elsewhere.
import { readdir, readFile } from 'node:fs/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeSession, startTestApi, type TestApi } from '../support/api.ts'

const built = resolve(import.meta.dirname, '..', '..', 'dist', 'dashboard')
const asPerson = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.close())

async function assetPaths(): Promise<string[]> {
  const names = await readdir(join(built, 'assets'))
  return names.map((name) => `/assets/${name}`)
}

describe('the page', () => {
  test('comes without data at each of its addresses, and is asked for anew each time', async () => {
    const { id } = await makeSession(api, { displayName: 'Nobody may see this' })
    const pages = await Promise.all(
      ['/', '/fleet', `/sessions/${id}`, `/sessions/${id}/messages`].map((path) => api.call('GET', path, { headers: asPerson })),
    )
    for (const page of pages) {
      expect(page.status).toBe(200)
      expect(page.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-cache' })
      expect(page.text).toBe(pages[0]?.text)
      expect(page.text).toContain('<div id="app"></div>')
      expect(page.text).not.toContain('Nobody may see this')
    }
  })

  test('lets nothing in from elsewhere, and no script or style of its own but from files', async () => {
    const page = await api.call('GET', '/')
    const policy = String(page.headers['content-security-policy'])
    expect(policy.split(';').toSorted()).toEqual([
      "base-uri 'self'",
      "connect-src 'self'",
      "default-src 'none'",
      "font-src 'self'",
      "form-action 'self'",
      "frame-ancestors 'none'",
      "img-src 'self' data:",
      "script-src 'self'",
      "style-src 'self'",
    ])
    expect(page.text).not.toMatch(/<script(?![^>]*\ssrc="\/assets\/)|<style|\sstyle=|\son\w+=/)
    expect(page.text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//)
  })

  test('programs that lose their way get a problem', async () => {
    expect((await api.call('GET', '/sessions/ses_x', { headers: { accept: 'application/json' } })).status).toBe(404)
    expect((await api.call('POST', '/fleet')).status).toBe(404)
    for (const path of [
      '/assets/',
      '/assets/none.js',
      '/assets/../index.html',
      '/assets/%2e%2e/index.html',
      '/sessions',
      '/sessions/a/b/c',
    ]) {
      expect((await api.call('GET', path, { headers: asPerson })).status, path).toBe(404)
    }
  })
})

describe('its files', () => {
  test('are kept for ever under names that change with what is in them', async () => {
    for (const path of await assetPaths()) {
      expect(path).toMatch(/-[\w-]{8}\.(?:js|css|svg)$/)
      const plain = await api.call('GET', path)
      expect(plain.headers, path).toMatchObject({
        'cache-control': 'public, max-age=31536000, immutable',
        'x-content-type-options': 'nosniff',
        vary: 'Accept-Encoding',
      })
      expect(plain.text).toBe(await readFile(join(built, path), 'utf8'))
      const head = await api.call('HEAD', path)
      expect(head).toMatchObject({ status: 200, text: '' })
      expect(head.headers['content-length']).toBe(plain.headers['content-length'])
      const compressed = await fetch(api.url + path, { headers: { 'accept-encoding': 'gzip' } })
      expect(compressed.headers.get('content-encoding')).toBe('gzip')
      expect(await compressed.text()).toBe(plain.text)
    }
  })

  test('are under 150 kB together when they are compressed', async () => {
    const contents = await Promise.all((await assetPaths()).map((path) => readFile(join(built, path))))
    const sizes = contents.map((content) => gzipSync(content, { level: 9 }))
    expect(gunzipSync(sizes[0] ?? Buffer.alloc(0))).toEqual(contents[0])
    expect(sizes.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(150_000)
  })

  test('name no other host', async () => {
    const texts = await Promise.all((await assetPaths()).map((path) => readFile(join(built, path), 'utf8')))
    const known = /^https?:\/\/(?:www\.w3\.org\/|example\.com\/|picocss\.com|github\.com\/|localhost)/
    const urls = texts.flatMap((text) => [...text.matchAll(/https?:\/\/[\w.-]+[^\s"'`)]*/g)].map(([url]) => url))
    expect(urls.filter((url) => !known.test(url))).toEqual([])
  })
})

describe('the list of all sessions', () => {
  test('is for admins, and says of each how much waits', async () => {
    const { id, key } = await makeSession(api, { displayName: 'Busy' })
    const message = { to: '254712345678', type: 'text', text: { body: 'x' } }
    for (let n = 0; n < 3; n += 1) await api.call('POST', '/v1/messages', { key, json: message })
    expect((await api.call('GET', '/v1/fleet/sessions')).status).toBe(401)
    expect((await api.call('GET', '/v1/fleet/sessions', { key })).body.code).toBe('admin_only')
    const { body } = await api.call('GET', '/v1/fleet/sessions?limit=200', { key: api.adminKey })
    expect(body.data.find((line: { id: string }) => line.id === id)).toMatchObject({
      displayName: 'Busy',
      status: 'pending',
      queueDepth: 3,
    })
    const first = await api.call('GET', '/v1/fleet/sessions?limit=1', { key: api.adminKey })
    expect(first.body.data).toHaveLength(1)
    const rest = await api.call('GET', `/v1/fleet/sessions?cursor=${first.body.nextCursor}`, { key: api.adminKey })
    expect([...first.body.data, ...rest.body.data]).toEqual(body.data)
  })
})
