// Serves the dashboard: an index without data, and files whose names carry a hash of what is in them.
import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Request, RequestHandler, Response } from 'express'
import { htmlType } from './page.ts'
import { recordOf } from './request-record.ts'

/** Where `npm install` has built it. */
const dashboardDir = resolve(import.meta.dirname, '..', '..', 'dist', 'dashboard')

const compress = promisify(gzip)
const indexName = 'index.html'
const types: Record<string, string> = {
  '.html': htmlType,
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}
/** The page's own addresses: it finds out by itself what to show there. */
const pagePattern = /^\/(?:fleet|sessions\/[^/]+(?:\/[^/]+)?)?$/

interface ServedFile {
  type: string
  plain: Buffer
  gzipped: Buffer
}

interface Build {
  /** Of the index: another one means that it was built anew. */
  builtAt: number
  /** By path: `/` and `/assets/…`. */
  files: Map<string, ServedFile>
}

/** Where it is not built, every request goes on to the next handler. */
export function createDashboard(dir = dashboardDir): RequestHandler {
  let latest: Promise<Build | null> = Promise.resolve(null)
  const current = async (isIndex: boolean): Promise<Build | null> => {
    const known = await latest
    if (known && !isIndex) return known
    const builtAt = await stat(join(dir, indexName)).then(
      ({ mtimeMs }) => mtimeMs,
      () => null,
    )
    if (builtAt === null || builtAt === known?.builtAt) return known
    latest = readBuild(dir, builtAt).catch(() => known)
    return latest
  }
  const answer = async (req: Request, res: Response, next: () => void): Promise<void> => {
    const isIndex = pagePattern.test(req.path)
    const isAsset = req.path.startsWith('/assets/')
    // Programs that lose their way get a problem, like everywhere else.
    const isLost = isIndex && req.path !== '/' && req.accepts(['json', 'html']) !== 'html'
    const build = (isIndex || isAsset) && !isLost ? await current(isIndex) : null
    const file = build?.files.get(isIndex ? '/' : req.path)
    if (file) send(req, res, file, isIndex)
    else next()
  }
  return (req, res, next) => {
    const mayBeOurs = (req.method === 'GET' || req.method === 'HEAD') && !req.url.startsWith('/v1/')
    return mayBeOurs ? answer(req, res, next) : next()
  }
}

async function readBuild(dir: string, builtAt: number): Promise<Build> {
  const names = await readdir(join(dir, 'assets'))
  const files = new Map<string, ServedFile>()
  files.set('/', await readServed(join(dir, indexName)))
  for (const name of names) files.set(`/assets/${name}`, await readServed(join(dir, 'assets', name)))
  return { builtAt, files }
}

async function readServed(path: string): Promise<ServedFile> {
  const plain = await readFile(path)
  return { type: types[extname(path)] ?? 'application/octet-stream', plain, gzipped: await compress(plain, { level: 9 }) }
}

function send(req: Request, res: Response, file: ServedFile, isIndex: boolean): void {
  recordOf(res).route = isIndex ? '/' : '/assets/{file}'
  const isGzip = req.acceptsEncodings('gzip') === 'gzip'
  const body = isGzip ? file.gzipped : file.plain
  res.writeHead(200, {
    'Content-Type': file.type,
    'Content-Length': body.length,
    ...(isGzip ? { 'Content-Encoding': 'gzip' } : {}),
    Vary: 'Accept-Encoding',
    'Cache-Control': isIndex ? 'no-cache' : 'public, max-age=31536000, immutable',
  })
  res.end(req.method === 'HEAD' ? undefined : body)
}
