// Workers tell each other when WhatsApp can be reached again, so that nobody sits out the rest of a pause between probes.
import type { Redis } from 'ioredis'
import type { Log } from '../platform/log.ts'
import { networkChannel } from '../sessions/session-keys.ts'
import type { NetworkOutage } from './network-outage.ts'

interface ShareDeps {
  redis: Redis
  /** For pub/sub only. */
  subscriber: Redis
  prefix: string
  log: Log
}

/** A message that is lost costs a pause of two seconds at most. */
export function tellOfReturn({ redis, prefix, log }: Omit<ShareDeps, 'subscriber'>): void {
  redis.publish(networkChannel(prefix), 'returned').catch((err: unknown) => log.debug({ err }, 'network.not_told'))
}

/** Resolves when the subscription stands. */
export async function hearOfReturn(
  { subscriber, prefix, log }: Omit<ShareDeps, 'redis'>,
  outage: Pick<NetworkOutage, 'heardOfReturn'>,
): Promise<void> {
  subscriber.on('message', (channel: string) => {
    if (channel === networkChannel(prefix)) outage.heardOfReturn()
  })
  await subscriber.subscribe(networkChannel(prefix)).catch((err: unknown) => log.warn({ err }, 'network.not_subscribed'))
}
