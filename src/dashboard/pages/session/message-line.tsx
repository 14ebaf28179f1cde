// One message in a list: who, what, its state; opened, its whole time line.
import type { Address, Message } from '../../api/resources.ts'
import { Badge } from '../../parts/badge.tsx'
import { Quote } from '../../parts/quoted.tsx'
import { Ago, Ahead } from '../../parts/time.tsx'
import { atDay, holdSentences, messageWords, phone, shortDuration } from '../../parts/words.ts'

export function MessageLine({ message }: { message: Message }) {
  const status = messageWords[message.status]
  const isInbound = message.direction === 'inbound'
  return (
    <details class="message" name="message">
      <summary>
        <span class={`way ${message.direction}`} role="img" aria-label={isInbound ? 'Received from' : 'Sent to'} />
        <span class="who">{nameOf(isInbound ? message.from : message.to)}</span>
        <span class="text">{message.text?.body ?? message.type}</span>
        <Badge tone={status.tone}>{status.label}</Badge>
        <span class="when">
          <Ago at={firstTime(message)} />
        </span>
      </summary>
      <div class="inside">
        {message.text && <Quote text={message.text.body} />}
        {message.error && (
          <p class="problem">
            {message.error.detail} <code>{message.error.code}</code>
          </p>
        )}
        <Held message={message} />
        <TimeLine message={message} />
        <dl class="pairs">
          <dt>Id</dt>
          <dd>
            <code>{message.id}</code>
          </dd>
          <dt>WhatsApp id</dt>
          <dd>
            <code>{message.whatsappId}</code>
          </dd>
          {message.clientReference && (
            <>
              <dt>Your reference</dt>
              <dd>{message.clientReference}</dd>
            </>
          )}
          {!isInbound && (
            <>
              <dt>Priority</dt>
              <dd>{message.priority}</dd>
            </>
          )}
        </dl>
      </div>
    </details>
  )
}

export function Held({ message }: { message: Message }) {
  if (!message.heldBy) return null
  return (
    <p class={message.heldBy === 'new_contacts' || message.heldBy === 'restriction' ? 'held long' : 'held'}>
      Held back by {holdSentences[message.heldBy] ?? message.heldBy}
      {message.heldUntil && (
        <>
          , goes on <Ahead at={message.heldUntil} />
        </>
      )}
      .
    </p>
  )
}

const steps = [
  'scheduled',
  'queued',
  'sending',
  'sent',
  'delivered',
  'read',
  'played',
  'failed',
  'expired',
  'canceled',
  'received',
] as const

/** Each step with how long it took since the one before. */
export function TimeLine({ message }: { message: Message }) {
  const reached = steps.flatMap((step) => {
    const at = message.timestamps[`${step}At`]
    return at ? [{ step, at }] : []
  })
  return (
    <ol class="timeline" aria-label="Time line">
      {reached.map(({ step, at }, index) => {
        const before = reached[index - 1]
        return (
          <li key={step} class={messageWords[step].tone}>
            <strong>{messageWords[step].label}</strong>
            <time dateTime={at}>{atDay(at)}</time>
            {before && <span class="quiet">+{shortDuration(Date.parse(at) - Date.parse(before.at))}</span>}
          </li>
        )
      })}
    </ol>
  )
}

export function nameOf(address: Address | undefined): string {
  if (!address) return 'unknown'
  return address.groupId ?? phone(address.phoneNumber) ?? address.lid ?? address.input
}

function firstTime(message: Message): string | null | undefined {
  const { timestamps } = message
  return timestamps['receivedAt'] ?? timestamps['scheduledAt'] ?? timestamps['queuedAt']
}
