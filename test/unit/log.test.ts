// What a line of the log may hold: secrets are cut wherever they stand, numbers but for their end, and what was handed in stays as it was.
import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createLog } from '../../src/platform/log.ts'

function openLog() {
  const destination = new PassThrough()
  const log = createLog({ process: 'test', level: 'info', destination })
  const lastLine = () => JSON.parse(String(destination.read())) as Record<string, unknown>
  return { log, lastLine }
}

describe('secrets', () => {
  test('are cut on the line itself', () => {
    const { log, lastLine } = openLog()
    log.info({ apiKey: 'uj_ses_x', text: { body: 'Habari' }, authorization: 'Bearer x', count: 2 }, 'a.happened')
    expect(lastLine()).toMatchObject({
      apiKey: '[redacted]',
      text: '[redacted]',
      authorization: '[redacted]',
      count: 2,
      msg: 'a.happened',
    })
  })

  test('are cut one level down, and what stands beside them is not', () => {
    const { log, lastLine } = openLog()
    const given = {
      session: { id: 'ses_1', qr: 'secret', creds: { noise: 'secret' } },
      webhook: { headers: { a: 'secret' }, n: null },
    }
    const before = structuredClone(given)
    log.info(given, 'a.happened')
    const line = lastLine()
    expect(JSON.stringify(line)).not.toContain('"secret"')
    expect(line).toMatchObject({
      session: { id: 'ses_1', qr: '[redacted]', creds: '[redacted]' },
      webhook: { headers: '[redacted]', n: null },
    })
    expect(given).toEqual(before)
  })

  test('are cut from what a child adds to every line', () => {
    const { log, lastLine } = openLog()
    log.child({ sessionId: 'ses_1', password: 'secret' }).info('a.happened')
    expect(lastLine()).toMatchObject({ sessionId: 'ses_1', password: '[redacted]' })
  })
})

test('numbers keep their last digits, in fields and in errors', () => {
  const { log, lastLine } = openLog()
  log.info({ phoneNumber: '254712345678', to: '254712345678@s.whatsapp.net', err: new Error('no 254712345678') }, 'a.happened')
  const line = JSON.stringify(lastLine())
  expect(line).not.toContain('2547')
  expect(line.match(/…5678/g)?.length).toBeGreaterThanOrEqual(3)
})
