// `npm run demo`: the main job end to end on this machine: REST → queue → Baileys → phones → receipts → signed webhooks.
import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { pairByCode, pairByQr } from './demo/pair.ts'
import { createProgress, type Progress } from './demo/progress.ts'
import { startReceiver, type Receiver } from './demo/receiver.ts'
import { summarise, table, told, type Summary } from './demo/report.ts'
import { planMessages, sendAll } from './demo/traffic.ts'
import { until } from './demo/until.ts'
import { startFleet, projectRoot, type Fleet } from './support/fleet.ts'
import { unpaced } from './support/api-client.ts'
import { SandboxClient } from './support/sandbox-client.ts'
import { planSandboxFleet } from './support/sandbox-fleet.ts'

const { values: flags } = parseArgs({ options: { exit: { type: 'boolean' }, json: { type: 'boolean' } } })
const messageCount = 200
const businesses = { qr: { phoneNumber: '254700000001', name: 'Clinic' }, code: { phoneNumber: '254700000002', name: 'School' } }
const people = Array.from({ length: 10 }, (_, index) => `2547110000${String(index + 1).padStart(2, '0')}`)
/** These answer each message they get. */
const talkative = people.slice(0, 2)

async function demo(
  progress: Progress,
  fleet: Fleet,
  sandbox: SandboxClient,
  receiver: Receiver,
): Promise<{ summary: Summary; keys: string[] }> {
  const startedAt = performance.now()
  for (const business of Object.values(businesses))
    await sandbox.addPhone({ phoneNumber: business.phoneNumber, name: business.name })
  for (const phoneNumber of people)
    await sandbox.addPhone({
      phoneNumber,
      autoRead: true,
      ...(talkative.includes(phoneNumber) ? { autoReply: 'Thank you, see you then.' } : {}),
    })
  progress.step(`${people.length} phones of people and 2 of businesses are on the sandbox's WhatsApp`)

  const clinic = await fleet.admin.createSession({ displayName: businesses.qr.name, webhookUrl: receiver.url, settings: unpaced })
  const school = await fleet.admin.createSession({
    displayName: businesses.code.name,
    webhookUrl: receiver.url,
    pairingPhoneNumber: businesses.code.phoneNumber,
    settings: unpaced,
  })
  const sessions = [clinic, school]
  for (const session of sessions) receiver.trust(session.webhookSecret ?? '')
  await Promise.all([
    pairByQr(fleet.admin, sandbox, clinic, businesses.qr.phoneNumber).then(() =>
      progress.step('Clinic is paired: its phone scanned the QR code'),
    ),
    pairByCode(fleet.admin, sandbox, school, businesses.code.phoneNumber).then(() =>
      progress.step('School is paired: its phone took the pairing code'),
    ),
  ])

  const plans = planMessages(sessions, people, messageCount)
  const repliesExpected = plans.filter((plan) => talkative.includes(plan.to)).length
  let acceptedCount = 0
  const show = () => {
    const states = ['sent', 'delivered', 'read'].map((label) => ({
      label,
      value: told(receiver, `message.${label}`).size,
      total: messageCount,
    }))
    progress.live([
      { label: 'accepted', value: acceptedCount, total: messageCount },
      ...states,
      { label: 'replies', value: told(receiver, 'message.received').size, total: repliesExpected },
    ])
  }
  const ticking = setInterval(show, 100)
  try {
    const { accepted, replays } = await sendAll(fleet.admin, plans, (count) => (acceptedCount = count))
    const complete = () =>
      told(receiver, 'message.read').size >= messageCount && told(receiver, 'message.received').size >= repliesExpected
    await until('every message is read, answered and told by webhook', complete, 60_000).catch(() => undefined) // the summary names what is missing
    const durationSeconds = (performance.now() - startedAt) / 1000
    const summary = await summarise({ accepted, replays, phones: people, repliesExpected, receiver, sandbox, durationSeconds })
    return { summary, keys: sessions.map((session) => `${session.displayName} key  ${session.apiKey}`) }
  } finally {
    clearInterval(ticking)
    progress.done()
  }
}

/** The directory is emptied at each start: not under the feet of a demo that still runs. */
async function refuseSecondDemo(dataDir: string): Promise<void> {
  const pid = Number(await readFile(resolve(dataDir, 'pm2', 'pm2.pid'), 'utf8').catch(() => '0'))
  if (pid > 0 && existsSync(`/proc/${pid}`))
    throw new Error(`a demo is running already (process ${pid}). Stop it first, or set UJUMBE_DATA_DIR to another directory.`)
}

async function main(): Promise<number> {
  const progress = createProgress({ quiet: flags.json === true, terminal: process.stdout.isTTY })
  const dataDir = resolve(process.env['UJUMBE_DATA_DIR'] ?? resolve(projectRoot, 'data'), 'demo')
  await refuseSecondDemo(dataDir)
  await rm(dataDir, { recursive: true, force: true })
  const receiver = await startReceiver(2)
  const port = Number(process.env['PORT'] ?? 3000)
  const sandboxPort = Number(process.env['UJUMBE_SANDBOX_PORT'] ?? 3100)
  const { env, controlUrl } = await planSandboxFleet({ dataDir, port, sandboxPort })
  const fleet = await startFleet({ env, onProgress: (line) => progress.step(line) })
  const stopped = Promise.withResolvers<void>()
  process.once('SIGINT', () => stopped.resolve())
  process.once('SIGTERM', () => stopped.resolve())
  try {
    progress.step(`The fleet is up: API on ${fleet.apiUrl}, sandbox on ${controlUrl}`)
    const sandbox = new SandboxClient(controlUrl)
    const { summary, keys } = await demo(progress, fleet, sandbox, receiver)
    if (flags.json !== true) {
      console.log(`\n${table(summary)}\n`)
      for (const fault of summary.faults) console.error(`  FAILED  ${fault}`)
    }
    if (flags.json === true) console.log(JSON.stringify(summary))
    if (flags.exit !== true && summary.ok) {
      if (flags.json !== true) {
        console.log(
          `  Dashboard  ${fleet.apiUrl}/\n  Reference  ${fleet.apiUrl}/docs\n  Queues     ${fleet.apiUrl}/queues\n  Phones     ${controlUrl}/`,
        )
        console.log(
          `  Admin key  ${fleet.admin.key}\n${keys.map((line) => `  ${line}`).join('\n')}\n\n  Everything stays up until Ctrl-C.`,
        )
      }
      await stopped.promise
    }
    return summary.ok ? 0 : 1
  } finally {
    await fleet.stop()
    await receiver.close()
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
    process.exit(1)
  },
)
