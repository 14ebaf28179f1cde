// Holds the folder line: a folder imports itself and those before it; each library has its homes; files stay small.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..', '..')
const line = ['platform', 'store', 'whatsapp', 'webhooks', 'sessions', 'messages', 'fleet', 'health', 'http'] as const

/** Where a library may be imported: prefixes of paths below the root. */
const homes: Record<string, string[]> = {
  express: ['src/http/'],
  '@bull-board/api': ['src/http/'],
  '@bull-board/express': ['src/http/'],
  '@whiskeysockets/baileys': ['src/whatsapp/', 'src/sandbox/'],
  libsignal: ['src/whatsapp/', 'src/sandbox/'],
  mongoose: ['src/store/mongo/'],
  'node:sqlite': ['src/store/sqlite/'],
  bullmq: ['src/platform/queue.ts'],
  opossum: ['src/webhooks/'],
  htmlparser2: ['src/messages/page-head.ts'],
  ws: ['src/sandbox/'],
}

const files = ['src', 'workers', 'scripts', 'test']
  .flatMap((dir) => typescriptBelow(join(root, dir)))
  .map((path) => relative(root, path))
const product = files.filter((path) => path.startsWith('src/') || path.startsWith('workers/'))

function typescriptBelow(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}

/** Imported specifiers, relative ones resolved to paths below the root. */
function importsOf(path: string): string[] {
  const source = readFileSync(join(root, path), 'utf8')
  const found = [...source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '')
  return found.map((name) => (name.startsWith('.') ? relative(root, resolve(root, path, '..', name)) : name))
}

const packageOf = (specifier: string) =>
  specifier.startsWith('@')
    ? specifier.split('/').slice(0, 2).join('/')
    : specifier.startsWith('node:')
      ? specifier
      : (specifier.split('/')[0] ?? '')

describe('the folder line', () => {
  test('holds files to look at', () => expect(product.length).toBeGreaterThan(50))

  test('is never imported against', () => {
    const wrong = product.flatMap((path) =>
      importsOf(path)
        .filter((target) => !mayImport(path, target))
        .map((target) => `${path} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })
})

function mayImport(path: string, target: string): boolean {
  if (!target.startsWith('src/')) return !target.startsWith('scripts/') && !target.startsWith('test/')
  const [, folder = ''] = path.split('/')
  const [, other = ''] = target.split('/')
  if (path === 'workers/sandbox.ts' || folder === 'sandbox') return other === 'sandbox' || other === 'platform'
  if (path.startsWith('workers/')) return other !== 'sandbox'
  if (folder === 'dashboard') return other === 'dashboard'
  return line.slice(0, line.indexOf(folder as (typeof line)[number]) + 1).includes(other as (typeof line)[number])
}

describe('the homes of libraries', () => {
  test.each(Object.entries(homes))('%s', (library, allowed) => {
    const strangers = product.filter(
      (path) => importsOf(path).some((name) => packageOf(name) === library) && !allowed.some((home) => path.startsWith(home)),
    )
    expect(strangers).toEqual([])
  })

  test('the sandbox uses no socket of Baileys', () => {
    const users = files.filter(
      (path) =>
        path.startsWith('src/sandbox/') && /makeWASocket|baileys\/lib\/Socket/.test(readFileSync(join(root, path), 'utf8')),
    )
    expect(users).toEqual([])
  })
})

describe('files', () => {
  const folderNames = ['utils', 'common', 'helpers', 'types', 'models', 'services', 'managers']
  const faultsOf = (path: string): string[] => {
    const source = readFileSync(join(root, path), 'utf8')
    return [
      ...(source.split('\n').length > 301 ? ['more than 300 lines'] : []),
      ...(/^(#!.*\n)?\/\/ \S/.test(source) ? [] : ['does not open with a sentence on its purpose']),
      ...(/^export default/m.test(source) ? ['has a default export'] : []),
      ...path
        .split('/')
        .filter((part) => folderNames.includes(part))
        .map((part) => `lies in a folder named ${part}`),
    ]
  }

  test('are small, open with their purpose and have no default export', () => {
    expect(files.flatMap((path) => faultsOf(path).map((fault) => `${path} ${fault}`))).toEqual([])
  })

  test('only platform/config.ts reads the environment', () => {
    const readers = product.filter((path) => /process\.env\b/.test(readFileSync(join(root, path), 'utf8')))
    expect(readers.filter((path) => !path.startsWith('src/dashboard/'))).toEqual(['src/platform/config.ts'])
  })
})
