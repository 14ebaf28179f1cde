// Request bodies: JSON up to 1 MB, read only once the caller is known, and each fault with its own code.
import type { IncomingMessage, ServerResponse } from 'node:http'
import express from 'express'
import { AppError } from '../platform/errors.ts'

const maxBodyBytes = 1_048_576
const maxFormBytes = 4_096

type Parser = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

// Any JSON value is read here; that it must be an object is for the schema to say.
const parseJson: Parser = express.json({ limit: maxBodyBytes, strict: false, inflate: false, type: () => true })
const parseForm: Parser = express.urlencoded({
  limit: maxFormBytes,
  extended: false,
  inflate: false,
  parameterLimit: 20,
  type: () => true,
})

/**
 * The parsed body; undefined when there is none.
 * @throws AppError `unsupported_media_type`, `malformed_json`, `body_too_large`, `invalid_request`
 */
export async function readBody(
  req: IncomingMessage,
  res: ServerResponse,
  type: 'application/json' | 'application/x-www-form-urlencoded',
): Promise<unknown> {
  if (!hasBody(req)) return undefined
  const given = (req.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (given !== type) {
    req.resume()
    throw new AppError('unsupported_media_type', `Send the body as ${type}.`)
  }
  const parse = type === 'application/json' ? parseJson : parseForm
  try {
    await new Promise<void>((resolve, reject) => parse(req, res, (error) => (error ? reject(asError(error)) : resolve())))
  } catch (error) {
    req.unpipe()
    req.resume() // the rest is read and dropped, so that the client gets to read the answer
    throw error
  }
  return (req as IncomingMessage & { body?: unknown }).body
}

function hasBody(req: IncomingMessage): boolean {
  return req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0
}

function asError(error: unknown): Error {
  const type = (error as { type?: unknown }).type
  switch (type) {
    case 'entity.too.large':
    case 'parameters.too.many':
      return new AppError('body_too_large')
    case 'entity.parse.failed':
      return new AppError('malformed_json')
    case 'encoding.unsupported':
    case 'charset.unsupported':
      return new AppError('unsupported_media_type', 'Send the body as UTF-8 and without a content encoding.')
    case 'request.size.invalid':
    case 'request.aborted':
      return new AppError('invalid_request', 'The body did not arrive whole.')
    default:
      return error instanceof Error ? error : new Error(String(error))
  }
}
