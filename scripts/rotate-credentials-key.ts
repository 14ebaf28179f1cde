// `npm run rotate-credentials-key`: a new master key, while everything runs; killed half-way it is simply run again.
import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { loadConfig } from '../src/platform/config.ts'
import { AppError, hasCode } from '../src/platform/errors.ts'
import { resealProxies } from '../src/sessions/proxy.ts'
import { createCredentialVault } from '../src/store/credential-vault.ts'
import { createKeyRing, type KeyRing } from '../src/store/key-ring.ts'
import { addMasterKey, forgetOldMasterKeys, lockKeyFile } from '../src/store/master-key-file.ts'
import { openStore } from '../src/store/open-store.ts'
import type { Store } from '../src/store/store.ts'
import { resealPage } from '../src/webhooks/reseal-endpoints.ts'

const { values: flags } = parseArgs({
  options: { 'no-new-key': { type: 'boolean' }, 'forget-old': { type: 'boolean' } },
})
const pageSize = 50
/** Processes look at the key file at least every second: by then none seals with the old key any more. */
const noticedMs = 2_500
const maxPasses = 20

interface Done {
  changed: number
  unreadable: string[]
}

/** One walk over everything that is sealed with a master key. */
async function pass(store: Store, keyRing: KeyRing): Promise<Done> {
  const done: Done = { changed: 0, unreadable: [] }
  const vault = createCredentialVault({ credentials: store.credentials, keyRing })
  for (let after: string | null = ''; after !== null;) {
    const page = await vault.rewrapPage(pageSize, after)
    done.changed += page.rewrapped
    done.unreadable.push(...page.unreadable)
    after = page.lastSessionId
    if (page.rewrapped > 0) console.log(`${done.changed} data keys are wrapped anew`)
  }
  for (let after: string | null = ''; after !== null;) {
    const page = await resealProxies({ sessions: store.sessions, keyRing }, pageSize, after)
    done.changed += page.resealed
    done.unreadable.push(...page.unreadable)
    after = page.lastSessionId
    if (page.resealed > 0) console.log(`${page.resealed} proxies are sealed anew`)
  }
  for (let cursor: string | null = null, isFirst = true; isFirst || cursor !== null; isFirst = false) {
    const page = await resealPage({ endpoints: store.endpoints, keyRing }, pageSize, cursor)
    done.changed += page.resealed
    done.unreadable.push(...page.unreadable)
    cursor = page.cursor
    if (page.resealed > 0) console.log(`${page.resealed} webhook endpoints are sealed anew`)
  }
  return done
}

/** Until a walk finds nothing more: what is made meanwhile may still have the old key. */
async function passes(store: Store, keyRing: KeyRing): Promise<Done> {
  let total = 0
  for (let i = 0; i < maxPasses; i += 1) {
    const done = await pass(store, keyRing)
    total += done.changed
    if (done.changed === 0) return { changed: total, unreadable: done.unreadable }
    await sleep(noticedMs)
  }
  throw new Error('Something still seals with an old key. Does every machine of the fleet have the new key file?')
}

async function main(): Promise<number> {
  const config = loadConfig()
  const path = config.credentialsKeyFile ?? (config.credentialsKey ? undefined : config.embeddedCredentialsKeyPath)
  if (path === undefined)
    throw new AppError(
      'configuration',
      'The master key is given by UJUMBE_CREDENTIALS_KEY, which nothing can change while processes run. Write it into a file (mode 0600), ' +
        'set UJUMBE_CREDENTIALS_KEY_FILE to that instead, restart the processes, and rotate then.',
    )
  const log = pino({ level: 'silent' })
  const keyRing = createKeyRing(config, log)
  const unlock = lockKeyFile(path)
  const store = await openStore(config, log)
  try {
    const unfinished = await passes(store, keyRing)
    if (unfinished.changed > 0) console.log('A rotation that had begun before is finished now.')
    else if (flags['no-new-key'] !== true && flags['forget-old'] !== true) {
      addMasterKey(path)
      console.log(`A new key stands first in ${path}. The processes notice within a second.`)
      await sleep(noticedMs)
    }
    const { unreadable } = await passes(store, keyRing)
    if (unreadable.length > 0) {
      console.error(`Sealed with a key that is not in the file, and left as they are: ${unreadable.join(', ')}`)
      return 1
    }
    console.log('Everything in the store is sealed with the current key.')
    if (flags['forget-old'] === true) console.log(`${forgetOldMasterKeys(path)} old keys are removed from the file.`)
    else console.log('The old keys stay in the file: backups made before need them. `-- --forget-old` removes them.')
    console.log('Now back up the key file: without it no backup of the store can be read.')
    return 0
  } finally {
    await store.close()
    unlock()
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(hasCode(error, 'configuration') ? error.message : error)
    process.exit(1)
  },
)
