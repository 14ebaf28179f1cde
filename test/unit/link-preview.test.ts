// Which address of a text is previewed, and what is read from a page, however broken it is.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { firstUrl } from '../../src/messages/link-preview.ts'
import { decodePage, readPageHead } from '../../src/messages/page-head.ts'

test.each([
  ['see https://example.com/a?b=c#d now', 'https://example.com/a?b=c#d'],
  ['Go to HTTP://Example.com.', 'HTTP://Example.com'],
  ['(https://example.com/wiki/Nairobi_(city))', 'https://example.com/wiki/Nairobi_(city)'],
  ['"https://example.com/x", he said', 'https://example.com/x'],
  ['https://example.com/one https://example.com/two', 'https://example.com/one'],
  ['http://[broken then https://example.com/ok', 'https://example.com/ok'],
  ['<https://example.com/>', 'https://example.com/'],
])('the first address of %j', (text, expected) => {
  expect(firstUrl(text)?.matched).toBe(expected)
})

test.each([
  'no address',
  'ftp://example.com',
  'example.com',
  'https://',
  `https://example.com/${'a'.repeat(3_000)}`,
  'javascript:alert(1)',
])('no address in %j', (text) => expect(firstUrl(text)).toBeNull())

test('what a page says for cards comes before what it says for itself, entities decoded', () => {
  const html = `<!doctype html><html><head><title>Plain</title><meta name="description" content="plain too">
    <meta property="og:title" content="Tea &amp; caf&eacute; &#x2014; caf&#233;"><meta property="og:description" content=" two
    lines ">`
  expect(readPageHead(html)).toEqual({ title: 'Tea & café — café', description: 'two lines' })
  expect(readPageHead('<title>Plain &lt;b&gt;</title><META NAME=Description CONTENT=one>')).toEqual({
    title: 'Plain <b>',
    description: 'one',
  })
})

test.each([
  ['no title', '<html><head></head><body>Hello</body>', null],
  ['a title in the body', '<body><title>late</title>', null],
  ['a title in a comment', '<!-- <title>no</title> --><title>yes</title>', 'yes'],
  ['a title in a script', '<script>"<title>no</title>"</script><title>yes</title>', 'yes'],
  ['an empty card title', '<meta property="og:title" content="  "><title>yes</title>', 'yes'],
  ['control and direction characters', '<title>a\u0000\u202eb\tc</title>', 'a b c'],
  ['a title cut off', '<title>never closed', 'never closed'],
  ['two titles', '<title>first</title><title>second</title>', 'first'],
])('a page with %s', (_, html, title) => {
  expect(readPageHead(html)?.title ?? null).toBe(title)
})

test('what is too long is cut, never inside a character', () => {
  const head = readPageHead(`<title>${'🌍'.repeat(10_000)}</title><meta name="description" content="${'a'.repeat(1e5)}">`)
  expect(head?.title.length).toBeLessThanOrEqual(300)
  expect(head?.title.isWellFormed()).toBe(true)
  expect(head?.description?.length).toBeLessThanOrEqual(600)
})

test.each([
  ['the header', 'text/html; charset=iso-8859-1', Buffer.from('<title>caf\xe9</title>', 'latin1')],
  ['a meta', 'text/html', Buffer.from('<meta charset="windows-1252"><title>caf\xe9</title>', 'latin1')],
  ['a mark', 'text/html', Buffer.from('\ufeff<title>café</title>', 'utf16le')],
  ['nothing', 'text/html', Buffer.from('<title>café</title>')],
  ['a name that nobody knows', 'text/html; charset=klingon', Buffer.from('<title>café</title>')],
])('the charset is told by %s', (_, contentType, bytes) => {
  expect(readPageHead(decodePage(bytes, contentType))?.title).toBe('café')
})

const pieces = fc.oneof(
  fc.constantFrom(
    '<title>',
    '</title>',
    '<meta property="og:title" content="',
    '">',
    '<!--',
    '-->',
    '<body',
    '</head>',
    '&#x',
    '&amp',
    ';',
    '\ud83c',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
)
const nastyHtml = fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join(''))

test('whatever a page holds, reading it never throws and stays bounded', () => {
  fc.assert(
    fc.property(nastyHtml, (html) => {
      const head = readPageHead(html)
      if (!head) return
      expect(head.title.length).toBeGreaterThan(0)
      expect(head.title.length).toBeLessThanOrEqual(300)
      expect(head.description?.length ?? 0).toBeLessThanOrEqual(600)
      expect(head.title).not.toMatch(/[\p{Cc}\n]/u)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (bytes, type) => typeof decodePage(bytes, type) === 'string'),
  )
})

test('whatever a text holds, its address is part of it', () => {
  const texts = fc
    .array(fc.oneof(fc.constantFrom('https://', 'http://x.y/', '(', ')', ' '), fc.string()))
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(texts, (text) => {
      expect(text).toContain(firstUrl(text)?.matched ?? '')
    }),
  )
})
