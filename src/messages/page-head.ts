// What a web page says of itself in its head: title and description, bounded and without markup; pure, never throws.
import { Parser } from 'htmlparser2'

export interface PageHead {
  title: string
  description: string | null
}

const maxTitleLength = 300
const maxDescriptionLength = 600
/** A title that is never closed would be the whole page. */
const maxCollected = 4_096
/** Where a page must have named its charset, by the HTML standard. */
const charsetBytes = 1_024

/** Null when the page has no title. */
export function readPageHead(html: string): PageHead | null {
  const meta = new Map<string, string>()
  let title = ''
  let isInTitle = false
  let isOver = false
  const parser = new Parser(
    {
      onopentag(name, attributes) {
        if (isOver) return
        if (name === 'title') isInTitle = title === ''
        else if (name === 'body') isOver = true
        else if (name === 'meta') {
          const key = (attributes['property'] ?? attributes['name'] ?? '').toLowerCase()
          const content = attributes['content'] ?? ''
          if (isWanted(key) && content !== '' && !meta.has(key)) meta.set(key, content.slice(0, maxCollected))
        }
      },
      ontext(text) {
        if (isInTitle && title.length < maxCollected) title += text.slice(0, maxCollected)
      },
      onclosetag(name) {
        if (name === 'title') isInTitle = false
        else if (name === 'head') isOver = true
      },
    },
    { decodeEntities: true },
  )
  // In pieces, so that a page is not read further than its head.
  for (let at = 0; at < html.length; at += maxCollected) {
    parser.write(html.slice(at, at + maxCollected))
    if (isOver) break
  }
  if (!isOver) parser.end()
  const shownTitle = plain(meta.get('og:title') ?? '', maxTitleLength) || plain(title, maxTitleLength)
  if (shownTitle === '') return null
  const description =
    plain(meta.get('og:description') ?? '', maxDescriptionLength) || plain(meta.get('description') ?? '', maxDescriptionLength)
  return { title: shownTitle, description: description === '' ? null : description }
}

/** By the header, else by a mark or a `<meta>` at the beginning, else as UTF-8; what does not fit becomes a replacement character. */
export function decodePage(bytes: Uint8Array, contentType: string): string {
  const label =
    charsetIn(contentType) ?? markOf(bytes) ?? charsetIn(Buffer.from(bytes.subarray(0, charsetBytes)).toString('latin1'))
  return decoderFor(label).decode(bytes)
}

const wanted = new Set(['og:title', 'og:description', 'description'])

function isWanted(key: string): boolean {
  return wanted.has(key)
}

function charsetIn(text: string): string | undefined {
  return /charset\s*=\s*["']?\s*([\w.:-]{1,40})/i.exec(text)?.[1]
}

function markOf(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8'
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be'
  return bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : undefined
}

function decoderFor(label: string | undefined): TextDecoder {
  try {
    return new TextDecoder(label)
  } catch {
    return new TextDecoder()
  }
}

/** One line without control and direction characters, cut between characters. */
function plain(text: string, maxLength: number): string {
  const line = text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\s]+/gu, ' ')
    .replaceAll(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')
    .trim()
  if (line.length <= maxLength) return line
  return `${line
    .slice(0, maxLength - 1)
    .replace(/[\ud800-\udbff]$/, '')
    .trimEnd()}…`
}
