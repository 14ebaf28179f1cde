// `w:mex`: the JSON queries. Answers what a restricted account asks, and says of the rest that it has no data.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { stanza } from '../../wire/stanza.ts'
import type { ServerContext, Session } from '../context.ts'
import type { IqAnswer } from './iq.ts'

export function answerMex(ctx: ServerContext, session: Session, _iq: BinaryNode): IqAnswer {
  const restricted = ctx.faults.take('restrict', session.state.account.phoneNumber)
  const data = {
    xwa2_fetch_account_reachout_timelock: {
      is_active: restricted !== undefined,
      // Whole seconds, and never one too early: whoever believes it would be refused once more.
      time_enforcement_ends: restricted ? String(Math.ceil(restricted.until / 1000)) : '0',
      enforcement_type: 'DEFAULT',
    },
  }
  return [stanza('result', {}, Buffer.from(JSON.stringify({ data })))]
}
