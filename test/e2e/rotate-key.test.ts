// The master key is rotated under a fleet that sends and receives, killed half-way and run again: nobody notices.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startTestFleet, type TestFleet } from '../support/fleet.ts'
import { startScript, type Script } from '../support/script.ts'
import { waitFor } from '../support/wait.ts'

const businesses = ['254700000061', '254700000062', '254700000063']
const person = '254711000061'
let rig: TestFleet
const scripts: Script[] = []
beforeAll(async () => {
  rig = await startTestFleet({ sessions: businesses.length })
})
afterEach(async () => {
  for (const { child } of scripts) child.kill('SIGKILL')
  await Promise.all(scripts.map(({ ended }) => ended))
})
afterAll(() => rig.close())

const rotate = (...args: string[]) => {
  const script = startScript('rotate-credentials-key', args, { UJUMBE_DATA_DIR: rig.dataDir })
  scripts.push(script)
  return script
}
const keysInFile = async () => (await readFile(join(rig.dataDir, 'credentials-key'), 'utf8')).trim().split('\n')

/** Each session writes numbered messages one after the other until told to stop; the person answers each. */
function startTraffic(sessions: readonly { apiKey: string }[]) {
  const ending = new AbortController()
  const accepted = sessions.map((): string[] => [])
  const lines = sessions.map(async ({ apiKey }, index) => {
    const api = rig.fleet.admin.withKey(apiKey)
    while (!ending.signal.aborted) {
      const message = await api.sendText(person, `s${index} #${accepted[index]?.length}`)
      accepted[index]?.push(message.whatsappId)
      await sleep(60)
    }
  })
  return {
    accepted,
    stop: async () => {
      ending.abort()
      await Promise.all(lines)
    },
  }
}

test('a rotation killed half-way and run again under traffic loses nothing, and no process fails to read', async () => {
  await rig.sandbox.addPhone({ phoneNumber: person, autoRead: true, autoReply: 'yes' })
  const sessions = []
  for (const phoneNumber of businesses) sessions.push(await rig.pairedSession(phoneNumber))
  const traffic = startTraffic(sessions)
  const moreArrives = async () => {
    const count = () => traffic.accepted.reduce((sum, ids) => sum + ids.length, 0)
    const [sent, told] = [count(), rig.receiver.events.size]
    await waitFor('messages and webhooks go on', () => count() > sent + 20 && rig.receiver.events.size > told + 20, 30_000)
  }
  await moreArrives()
  const [original] = await keysInFile()

  const first = rotate()
  await waitFor('a new key is there', () => first.printed().includes('A new key stands first'), 30_000)
  first.child.kill('SIGKILL')
  await first.ended
  await moreArrives()
  expect((await keysInFile()).slice(1)).toEqual([original])
  // What it reads then was sealed with either key.
  const [worker] = await rig.fleet.pids('session-worker')
  process.kill(worker ?? 0, 'SIGKILL')

  const second = rotate()
  expect(await second.ended, second.printed()).toBe(0)
  await moreArrives()
  const third = rotate('--forget-old')
  expect(await third.ended, third.printed()).toBe(0)
  const kept = await keysInFile()
  expect(kept).toHaveLength(1)
  expect(kept).not.toContain(original)
  // Nothing but the new key is left to read with.
  for (const name of ['session-worker', 'webhook-worker'])
    for (const pid of await rig.fleet.pids(name)) process.kill(pid, 'SIGKILL')
  await moreArrives()
  await traffic.stop()

  const all = traffic.accepted.flat()
  const shown = await waitFor(
    'all are on the phone',
    async () => {
      const messages = (await rig.sandbox.messages(person, { limit: 5_000 })).filter(({ fromMe }) => !fromMe)
      return messages.length >= all.length && messages
    },
    60_000,
    200,
  )
  const inOrder = shown.toSorted((a, b) => a.order - b.order).map(({ id }) => id)
  for (const ids of traffic.accepted) expect(inOrder.filter((id) => ids.includes(id))).toEqual(ids)
  expect(shown).toHaveLength(all.length)
  const told = (type: string) => [...rig.receiver.events.values()].filter((event) => event.type === type).length
  await waitFor('all are told as read', () => told('message.read') >= all.length, 60_000)
  await waitFor('each answer has come', () => told('message.received') >= all.length, 60_000)
  expect([told('message.read'), told('message.received'), rig.receiver.invalidSignatures]).toEqual([all.length, all.length, 0])

  const logs = join(rig.dataDir, 'logs')
  const texts = await Promise.all((await readdir(logs)).map((name) => readFile(join(logs, name), 'utf8')))
  const lines = texts.flatMap((text) => text.split('\n'))
  expect(lines.filter((line) => line.includes('credentials_unreadable'))).toEqual([])
  expect((await rig.sandbox.stats()).decryptFailures).toBe(0)
})
