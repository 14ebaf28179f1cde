// Who has which devices, and telling so to those who remember it: clients keep device lists until they are told otherwise.
import { createHash } from 'node:crypto'
import { lidServer, parseAddress, phoneServer } from '../wire/address.ts'
import { nowSeconds, stanza } from '../wire/stanza.ts'
import { deliver, type AccountState } from './accounts.ts'
import type { ServerContext } from './context.ts'

/** WhatsApp's hash of a set of device addresses, version 2. */
export function deviceListHash(addresses: string[]): string {
  const full = addresses.map((jid) => {
    const address = parseAddress(jid)
    return address ? `${address.user}.0:${address.device}@${address.server}` : jid
  })
  const digest = createHash('sha256').update(full.toSorted().join('')).digest()
  return `2:${digest.subarray(0, 6).toString('base64').replaceAll('=', '')}`
}

/** Tells everybody who knows the account's devices that one was linked or removed. */
export function announceDevice(
  ctx: ServerContext,
  state: AccountState,
  change: 'add' | 'remove',
  device: number,
  keyIndex: number,
) {
  const id = `devices-${state.account.phoneNumber}-${Date.now()}-${device}-${change}`
  const t = nowSeconds()
  const own = stanza('notification', { from: state.address(phoneServer), type: 'account_sync', id, t }, [
    stanza(
      'devices',
      { dhash: deviceListHash(state.deviceAddresses(phoneServer)) },
      state.devices().map((each) => {
        const index = state.companions.get(each)?.keyIndex
        return stanza('device', { jid: state.address(phoneServer, each), 'key-index': index?.toString() })
      }),
    ),
  ])
  for (const each of state.devices()) if (each !== device) deliver(state, each, own)

  const news = stanza(
    'notification',
    { from: state.address(phoneServer), type: 'devices', id, t, lid: state.address(lidServer) },
    [
      stanza(
        change,
        {
          device_hash: deviceListHash(state.deviceAddresses(phoneServer)),
          device_lid_hash: deviceListHash(state.deviceAddresses(lidServer)),
        },
        [
          stanza('device', {
            jid: state.address(phoneServer, device),
            lid: state.address(lidServer, device),
            'key-index': String(keyIndex),
          }),
          stanza('key-index-list', { ts: t }),
        ],
      ),
    ],
  )
  for (const number of state.watchers) {
    const watcher = ctx.accounts.find(number)
    if (watcher && watcher !== state) for (const each of watcher.devices()) deliver(watcher, each, news)
  }
}

/** From now on `watcher` hears of changes of `watched`'s devices. */
export function watchDevices(ctx: ServerContext, watcher: AccountState, watched: AccountState): void {
  if (watcher === watched || watched.watchers.has(watcher.account.phoneNumber)) return
  watched.watchers.add(watcher.account.phoneNumber)
  ctx.changed()
}
