// Chat states ("typing…"): passed on to the person's phone as they come, kept for nobody, acked by nobody.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { lidServer, parseAddress, phoneServer } from '../wire/address.ts'
import { stanza } from '../wire/stanza.ts'
import type { ServerContext } from './context.ts'
import type { Sender } from './route-message.ts'

export function routeChatState(ctx: ServerContext, sender: Sender, state: BinaryNode): void {
  const to = parseAddress(state.attrs['to'])
  if (!to || (to.server !== phoneServer && to.server !== lidServer)) return
  const target = ctx.accounts.find(to)
  if (!target || target === sender.state || !Array.isArray(state.content)) return
  target.primary?.deliver(stanza('chatstate', { from: sender.state.address(to.server) }, state.content))
}
