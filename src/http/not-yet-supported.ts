// What the schema has a place for and the product does not do yet: refused by name, never silently ignored.
import { AppError } from '../platform/errors.ts'
import { otherContentTypes, type SendMessageBody } from './schemas/message-schemas.ts'

/**
 * @throws AppError `not_yet_supported` for what will come, `invalid_request` for content that does not fit the type
 */
export function checkMessage(body: SendMessageBody): void {
  const paths: string[] = []
  if (body.type !== 'text') paths.push('type')
  refuse(paths)
  const foreign = otherContentTypes.filter((type) => body[type] !== undefined)
  const errors = foreign.map((path: string) => ({ path, message: `does not go with the type ${body.type}` }))
  if (body.text === undefined) errors.push({ path: 'text', message: 'is required with the type text' })
  if (errors.length > 0) throw new AppError('invalid_request', undefined, { errors })
}

/** @throws AppError `not_yet_supported` */
function refuse(paths: string[]): void {
  if (paths.length === 0) return
  const errors = paths.map((path) => ({ path, message: 'is not supported yet with this value' }))
  throw new AppError('not_yet_supported', `Not supported yet: ${paths.join(', ')}. Leave it out.`, { errors })
}
