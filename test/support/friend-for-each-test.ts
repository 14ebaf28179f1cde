// One session paired with a sandbox for all tests of a file, and a phone for each test that nobody has written to.
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { startTestSandbox, type TestSandbox } from './sandbox.ts'
import { WhatsAppSession } from './whatsapp-session.ts'

/** The session's own number. */
export const business = '254700000001'

interface Opened {
  sandbox: TestSandbox
  session: WhatsAppSession
  /** A phone number. */
  friend: string
}

/** To be called at the top of the file; `opened` is told before each test begins, with the session open and no fault set. */
export function friendForEachTest(opened: (rig: Opened) => void, settings: { autoRead?: boolean } = {}): void {
  let sandbox: TestSandbox
  let session: WhatsAppSession
  let lastNumber = 254711000000
  beforeAll(async () => {
    sandbox = await startTestSandbox()
    await sandbox.client.addPhone({ phoneNumber: business })
    session = new WhatsAppSession(sandbox.url)
    await session.pair(sandbox, business)
  })
  afterAll(async () => {
    await session.close()
    await sandbox.close()
  })
  beforeEach(async () => {
    await sandbox.client.clearFaults()
    session.mayWrite = true
    session.retriesAnswered.length = 0
    if (!session.client?.isOpen) await session.reconnect()
    lastNumber += 1
    const friend = String(lastNumber)
    await sandbox.client.addPhone({ phoneNumber: friend, ...settings })
    opened({ sandbox, session, friend })
  })
}
