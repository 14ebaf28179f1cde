// Reading a control request: who may send it, its path, and its JSON body within bounds.
import type { IncomingMessage } from 'node:http'
import { BlockList } from 'node:net'
import type { z } from 'zod'
import { ControlError } from './problem.ts'

const maxBodyBytes = 1_000_000
const bodyDeadlineMs = 10_000

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

/** Other websites must not reach the sandbox through a visitor's browser. @throws ControlError */
export function requireLocal(request: IncomingMessage): void {
  const { host, origin } = request.headers
  if (!isLoopbackHost(host)) throw new ControlError('foreign_host', 'The Host header must name this machine itself.')
  if (origin !== undefined && origin !== `http://${host}`) {
    throw new ControlError('cross_origin', 'The request came from another site.')
  }
}

function isLoopbackHost(host: string | undefined): boolean {
  if (!host || /[/@?#\s]/.test(host) || !URL.canParse(`http://${host}`)) return false
  const name = new URL(`http://${host}`).hostname
  if (name === 'localhost') return true
  return name.startsWith('[') ? loopback.check(name.slice(1, -1), 'ipv6') : isLoopbackAddress(name)
}

function isLoopbackAddress(name: string): boolean {
  return /^\d+(\.\d+){3}$/.test(name) && loopback.check(name, 'ipv4')
}

/** Whatever the call, a body must be JSON: forms of other sites can send everything else. @throws ControlError */
export function requireJson({ headers }: IncomingMessage): void {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (hasBody && type !== 'application/json') throw new ControlError('unsupported_media_type')
}

/** @throws ControlError when it is no JSON, too large, or does not fit. An empty body counts as `{}`. */
export async function readBody<T extends z.ZodType>(request: IncomingMessage, schema: T): Promise<z.output<T>> {
  const bytes = await readBytes(request)
  let value: unknown = {}
  try {
    if (bytes.length > 0) value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new ControlError('malformed_json')
  }
  return parse(schema, value)
}

/** @throws ControlError `invalid_request` naming each fault. */
export function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const errors = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }))
  throw new ControlError('invalid_request', undefined, errors)
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const fail = (error: ControlError) => {
      clearTimeout(timer)
      request.removeAllListeners('data').resume()
      reject(error)
    }
    const timer = setTimeout(() => fail(new ControlError('body_timed_out')), bodyDeadlineMs)
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > maxBodyBytes) fail(new ControlError('body_too_large'))
      else chunks.push(chunk)
    })
    request.once('end', () => {
      clearTimeout(timer)
      resolve(Buffer.concat(chunks))
    })
    request.once('error', () => fail(new ControlError('body_timed_out')))
    request.once('close', () => fail(new ControlError('body_timed_out')))
  })
}
