// What the sandbox costs with many sessions: pairs and connects bare clients (400 unless told), then pings and messages, and
// prints the CPU time and memory of its process. `node scripts/bench/sandbox-sockets.ts [--sessions 400] [--json]`; ends by itself.
import { readFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { setTimeout as delay } from 'node:timers/promises'
import { stanza } from '../../src/sandbox/wire/stanza.ts'
import { RawClient, type RawDevice } from '../../test/support/raw-client.ts'
import { startTestSandbox } from '../../test/support/sandbox.ts'

const { values } = parseArgs({
  options: { sessions: { type: 'string', default: '400' }, json: { type: 'boolean', default: false } },
})
const sessions = Math.min(2_000, Math.max(1, Number(values.sessions) || 400))
const rounds = 10
const batch = 20
const tickMs = 1_000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

const sandbox = await startTestSandbox({ process: true })
const { processId } = sandbox
const results: { step: string; wallMs: number; sandboxCpuMs: number; sandboxRssMb: number }[] = []

try {
  const numbers = Array.from({ length: sessions }, (_, index) => String(254_720_000_000 + index))
  await measure(`${sessions} phones`, async () => {
    for (const phoneNumber of numbers) await sandbox.client.addPhone({ phoneNumber })
  })
  const devices: RawDevice[] = []
  await measure(`${sessions} pairings`, () =>
    inBatches(numbers, async (number) =>
      devices.push(await RawClient.pair(sandbox.url, (qr) => sandbox.client.scan(number, qr))),
    ),
  )
  const clients: RawClient[] = []
  await measure(`${sessions} logins`, () =>
    inBatches(devices, async (device) => {
      const client = await RawClient.connect(sandbox.url, device)
      await client.activate()
      clients.push(client)
    }),
  )
  await measure('10 s idle', () => delay(10_000))
  await measure(`${sessions * rounds} pings`, async () => {
    for (let round = 0; round < rounds; round += 1) await Promise.all(clients.map((client) => client.query('w:p', 'get')))
  })
  await measure(`${sessions * rounds} messages`, async () => {
    for (let round = 0; round < rounds; round += 1)
      await Promise.all(clients.map((client, index) => send(client, clients[(index + 1) % sessions], round)))
  })
  const stats = await sandbox.client.stats()
  if (stats.socketsOpen !== sessions || stats.acks !== sessions * rounds)
    throw new Error(`not everything held: ${JSON.stringify(stats)}`)
  if (values.json) console.log(JSON.stringify({ sessions, results }))
  for (const client of clients) client.close()
} finally {
  await sandbox.close()
}

/** To one linked device of the next account; the ciphertext is nobody's to read. */
async function send(from: RawClient, to: RawClient | undefined, round: number): Promise<void> {
  const { user = '', device = 1 } = to?.device ?? {}
  const id = `B${round}`
  const enc = stanza('enc', { v: '2', type: 'msg' }, Buffer.alloc(200))
  const part = stanza('to', { jid: `${user}:${device}@s.whatsapp.net` }, [enc])
  from.send(stanza('message', { to: `${user}@s.whatsapp.net`, id, type: 'text' }, [stanza('participants', {}, [part])]))
  await from.waitFor('the ack', ({ tag, attrs }) => tag === 'ack' && attrs['id'] === id)
}

async function measure(step: string, run: () => Promise<unknown>): Promise<void> {
  const startedAt = performance.now()
  const before = cpuMs()
  await run()
  const result = {
    step,
    wallMs: Math.round(performance.now() - startedAt),
    sandboxCpuMs: Math.round(cpuMs() - before),
    sandboxRssMb: rssMb(),
  }
  results.push(result)
  if (!values.json)
    console.log(`${step.padEnd(18)} ${result.wallMs} ms, sandbox ${result.sandboxCpuMs} CPU-ms, ${result.sandboxRssMb} MB`)
}

async function inBatches<T>(items: T[], run: (item: T) => Promise<unknown>): Promise<void> {
  for (let start = 0; start < items.length; start += batch) await Promise.all(items.slice(start, start + batch).map(run))
}

function cpuMs(): number {
  // Fields 14 and 15 of stat, counted after the name in parentheses, which may hold spaces.
  const fields = readFileSync(`/proc/${processId}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * tickMs
}

function rssMb(): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${processId}/status`, 'utf8'))?.[1]) / 1_024)
}
