// What waits to be sent, when it is expected to leave, and the way to stop it.
import { useState } from 'preact/hooks'
import type { Message } from '../../api/resources.ts'
import { useLoad } from '../../api/use-load.ts'
import { useTask } from '../../api/use-task.ts'
import { Badge } from '../../parts/badge.tsx'
import { notify } from '../../parts/notice.tsx'
import { Empty, Load, Problem } from '../../parts/states.tsx'
import { Ahead } from '../../parts/time.tsx'
import { count, messageWords, plural } from '../../parts/words.ts'
import { cancelMessage, listMessages } from './list-messages.ts'
import { Held, nameOf } from './message-line.tsx'
import { useSessionEvents } from './session-events.ts'
import type { TabProps } from './session-page.tsx'

const refreshMs = 5_000
const limit = 200
const waiting = ['sending', 'queued', 'scheduled'] as const

interface Queue {
  messages: Message[]
  isCut: boolean
}

export function QueueTab({ session }: TabProps) {
  const queue = useLoad(`${session.id}/queue`, (signal) => readQueue(session.id, signal), refreshMs)
  useSessionEvents((event) => {
    if (event === 'gap') return queue.reload()
    const message = event.data.message
    if (message?.direction === 'outbound') queue.reloadSoon()
  })
  return (
    <section aria-labelledby="queue-title">
      <h2 id="queue-title">Queue</h2>
      <Load of={queue} what="queue">
        {({ messages, isCut }) =>
          messages.length === 0 ? (
            <Empty title="Nothing waits">
              <p>Everything that was accepted has been sent, or has ended.</p>
            </Empty>
          ) : (
            <>
              <p class="quiet">
                {isCut ? `The first ${count(messages.length)} of more that wait` : `${plural(messages.length, 'message')} to go`}
              </p>
              <ul class="queue">
                {messages.map((message) => (
                  <Waiting key={message.id} message={message} onCanceled={queue.reload} />
                ))}
              </ul>
            </>
          )
        }
      </Load>
    </section>
  )
}

async function readQueue(sessionId: string, signal: AbortSignal): Promise<Queue> {
  const pages = await Promise.all(waiting.map((status) => listMessages(sessionId, { status, limit }, signal)))
  const place = (message: Message) => message.position ?? (message.status === 'sending' ? -1 : Infinity)
  const time = (message: Message) => Date.parse(message.sendAt ?? message.timestamps['queuedAt'] ?? '') || 0
  const messages = pages
    .flatMap((page) => page.data)
    .toSorted((a, b) => rank(a) - rank(b) || place(a) - place(b) || time(a) - time(b))
  return { messages, isCut: pages.some((page) => page.nextCursor !== null) }
}

const rank = (message: Message) => waiting.indexOf(message.status as (typeof waiting)[number])

function Waiting({ message, onCanceled }: { message: Message; onCanceled: () => void }) {
  const [isGone, setGone] = useState(false)
  const status = messageWords[message.status]
  const cancel = useTask(async () => {
    await cancelMessage(message)
    setGone(true)
    notify('Canceled: it will not be sent')
    onCanceled()
  })
  const expected = message.estimatedSendAt ?? message.sendAt
  return (
    <li class={isGone ? 'gone' : ''}>
      <div class="what">
        <span class="who">{nameOf(message.to)}</span>
        <span class="text">{message.text?.body ?? message.type}</span>
      </div>
      <Badge tone={status.tone}>{message.priority === 'normal' ? status.label : `${status.label}, ${message.priority}`}</Badge>
      <span class="when">{message.status !== 'sending' && expected ? <Ahead at={expected} /> : null}</span>
      {message.status === 'sending' ? (
        <span class="quiet act">on its way</span>
      ) : (
        <button
          type="button"
          class="secondary act"
          aria-label={`Cancel the message to ${nameOf(message.to)}`}
          aria-busy={cancel.isBusy}
          disabled={cancel.isBusy || isGone}
          onClick={() => void cancel.run()}
        >
          Cancel
        </button>
      )}
      <Held message={message} />
      <Problem fault={cancel.fault} />
    </li>
  )
}
