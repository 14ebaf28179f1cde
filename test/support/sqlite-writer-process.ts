// A process that opens a SQLite store and writes until it is ended; it says on stdout what it was told is safe.
import { newMessage, tells } from './records.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'

const [path = '', sessionId = '', limit = 'Infinity'] = process.argv.slice(2)
const store = await openSqliteStore(path)
const count = Number(limit)
let left = count

/** Several writes under way at once, as in a busy process. */
const write = async () => {
  while (left-- > 0) {
    const message = newMessage(sessionId)
    const answer = await store.messages.accept(
      { message, idempotency: null, maxQueueDepth: 1e9, now: Date.now() },
      tells('message.queued'),
    )
    if (answer.outcome !== 'accepted') throw new Error(answer.outcome)
    process.stdout.write(`${message.id} ${answer.message.sequence}\n`)
  }
}
await Promise.all([write(), write(), write(), write()])
await store.close()
