// A send rig of its own for each test of a file, over one Redis for all of them.
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import type { SessionSettings } from '../../src/store/session-store.ts'
import { startTestRedis, type TestRedis } from './redis.ts'
import { openSendRig, type SendRig } from './send-rig.ts'

/** To be called at the top of the file; `opened` is told of each rig before its test begins. */
export function rigForEachTest(opened: (rig: SendRig, server: TestRedis) => void, settings: Partial<SessionSettings> = {}): void {
  let server: TestRedis
  let rig: SendRig
  beforeAll(async () => {
    server = await startTestRedis()
  })
  afterAll(() => server.close())
  beforeEach(async () => {
    rig = await openSendRig(server, settings)
    opened(rig, server)
  })
  afterEach(() => rig.close())
}
