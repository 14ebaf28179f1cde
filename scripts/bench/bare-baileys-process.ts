// Bare Baileys as most programs use it: default settings, keys in memory, no queue, no store, no waiting for acks. Told what to do by its parent.
import { readFileSync } from 'node:fs'
import { BufferJSON, makeWASocket, type AuthenticationCreds, type SignalDataSet, type WASocket } from '@whiskeysockets/baileys'
import { pino } from 'pino'
import { quietConsole } from '../../src/platform/quiet-console.ts'
import { recipientsOf, type LinkedDevice } from './rig/provision.ts'

type Order = { connect: number[] } | { send: number }

quietConsole()
const url = process.env['BENCH_URL'] ?? ''
const people = (process.env['BENCH_PEOPLE'] ?? '').split(',')
const sockets: { index: number; socket: WASocket }[] = []
/** How many log in at once, as in the product. */
const handshakes = 8

process.on('message', (order: Order) => {
  const work = 'connect' in order ? connectAll(order.connect) : sendAll(order.send)
  work.then(
    () => process.send?.('connect' in order ? 'connected' : 'sent'),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    },
  )
})
process.on('SIGTERM', () => process.exit(0))
process.send?.('ready')

async function connectAll(indexes: number[]): Promise<void> {
  const devices = JSON.parse(readFileSync(process.env['BENCH_DEVICES'] ?? '', 'utf8')) as LinkedDevice[]
  const waiting = [...indexes]
  const connectSome = async () => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      const device = devices[index]
      if (device) sockets.push({ index, socket: await connect(device) })
    }
  }
  await Promise.all(Array.from({ length: handshakes }, connectSome))
}

async function connect(device: LinkedDevice): Promise<WASocket> {
  const creds = JSON.parse(device.creds, BufferJSON.reviver) as AuthenticationCreds
  const socket = makeWASocket({
    waWebSocketUrl: url,
    auth: { creds, keys: memoryKeys(device) },
    logger: pino({ level: 'silent' }),
  })
  socket.ev.on('creds.update', (update) => void Object.assign(creds, update))
  await new Promise<void>((resolve, reject) => {
    socket.ev.on('connection.update', ({ connection, lastDisconnect }) => {
      if (connection === 'open') resolve()
      if (connection === 'close') reject(lastDisconnect?.error ?? new Error('closed'))
    })
  })
  return socket
}

async function sendAll(perSession: number): Promise<void> {
  await Promise.all(
    sockets.map(async ({ index, socket }) => {
      const recipients = recipientsOf(people, index)
      for (let n = 0; n < perSession; n += 1)
        await socket.sendMessage(`${recipients[n % recipients.length]}@s.whatsapp.net`, { text: `Message ${n} of ${index}` })
    }),
  )
}

/** The cheapest store there is. */
function memoryKeys(device: LinkedDevice) {
  const table = new Map<string, unknown>(
    device.keys.map(({ type, id, value }) => [`${type}.${id}`, JSON.parse(value, BufferJSON.reviver) as unknown]),
  )
  return {
    get: async (type: string, ids: string[]) =>
      Object.fromEntries(ids.flatMap((id) => (table.has(`${type}.${id}`) ? [[id, table.get(`${type}.${id}`)]] : []))) as never,
    set: async (data: SignalDataSet) => {
      for (const [type, values] of Object.entries(data)) {
        for (const [id, value] of Object.entries(values ?? {})) {
          if (value === null) table.delete(`${type}.${id}`)
          else table.set(`${type}.${id}`, value)
        }
      }
    },
  }
}
