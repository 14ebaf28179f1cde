// Queries of clients: which namespace is answered where, and the shape of an answer.
import type { BinaryNode } from '@whiskeysockets/baileys'
import { serverJid } from '../../wire/address.ts'
import { stanza } from '../../wire/stanza.ts'
import type { ServerContext, Session } from '../context.ts'
import { answerAccount } from './account.ts'
import { answerEncrypt } from './encrypt.ts'
import { answerGroups } from './groups.ts'
import { answerMex } from './mex.ts'
import { answerUsync } from './usync.ts'

/** The children of the result, or the error's number. */
export type IqAnswer = BinaryNode[] | number

type IqHandler = (ctx: ServerContext, session: Session, iq: BinaryNode) => IqAnswer

const byNamespace: Record<string, IqHandler> = {
  encrypt: answerEncrypt,
  usync: answerUsync,
  'w:g2': answerGroups,
  'w:mex': answerMex,
}

const errorTexts: Record<number, string> = {
  400: 'bad-request',
  403: 'forbidden',
  404: 'item-not-found',
  406: 'not-acceptable',
  501: 'feature-not-implemented',
}

/** Always gives an answer: a client that waits for one in vain takes the connection for dead. */
export function answerIq(ctx: ServerContext, session: Session, iq: BinaryNode): BinaryNode {
  const handler = byNamespace[iq.attrs['xmlns'] ?? ''] ?? answerAccount
  return iqResult(iq, handler(ctx, session, iq))
}

export function iqResult(iq: BinaryNode, answer: IqAnswer): BinaryNode {
  // The server's address is a JID with an empty user, however the client wrote it.
  const to = iq.attrs['to']
  const from = to === undefined || !to.includes('@') || to.startsWith('@') ? serverJid : to
  const attrs = { from, id: iq.attrs['id'] }
  if (typeof answer === 'number') {
    const error = stanza('error', { code: String(answer), text: errorTexts[answer] ?? 'internal-server-error' })
    return stanza('iq', { ...attrs, type: 'error' }, [error])
  }
  return answer.length > 0 ? stanza('iq', { ...attrs, type: 'result' }, answer) : stanza('iq', { ...attrs, type: 'result' })
}
