// Preloaded into a process of a test: after a SIGUSR2 the next flush of a file fails, as on a disk that dies.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const flush = fs.fdatasync
let mustFail = false
process.on('SIGUSR2', () => (mustFail = true))

const failing = (fd: number, done: fs.NoParamCallback): void => {
  if (!mustFail) return flush(fd, done)
  mustFail = false
  setImmediate(() => done(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })))
}
fs.fdatasync = Object.assign(failing, { __promisify__: flush.__promisify__ })
syncBuiltinESMExports()
