// What waits to be sent, when it is expected to leave, and the way to stop it.
import { useState } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { Message, Queue } from '../../api/resources.ts'
import { useLoad } from '../../api/use-load.ts'
import { useTask } from '../../api/use-task.ts'
import { Badge } from '../../parts/badge.tsx'
import { notify } from '../../parts/notice.tsx'
import { Empty, Load, Problem } from '../../parts/states.tsx'
import { Ahead } from '../../parts/time.tsx'
import { count, messageWords } from '../../parts/words.ts'
import { cancelMessage } from './list-messages.ts'
import { Held, nameOf } from './message-line.tsx'
import { useSessionEvents } from './session-events.ts'
import type { TabProps } from './session-page.tsx'

const refreshMs = 5_000
const limit = 200

export function QueueTab({ session }: TabProps) {
  const path = `/v1/sessions/${session.id}/queue?limit=${limit}`
  const queue = useLoad(path, (signal) => request<Queue>('GET', path, { signal }), refreshMs)
  useSessionEvents((event) => {
    if (event === 'gap') return queue.reload()
    const message = event.data.message
    if (message?.direction === 'outbound') queue.reloadSoon()
  })
  return (
    <section aria-labelledby="queue-title">
      <h2 id="queue-title">Queue</h2>
      <Load of={queue} what="queue">
        {(data) =>
          data.next.length + data.scheduled.length === 0 ? (
            <Empty title="Nothing waits">
              <p>Everything that was accepted has been sent, or has ended.</p>
            </Empty>
          ) : (
            <>
              <p class="quiet">{sizeOf(data)}</p>
              <ul class="queue">
                {[...data.next, ...data.scheduled].map((message) => (
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

/** How many wait in all, and how many of them stand here. */
function sizeOf({ next, queueDepth, scheduled, scheduledCount }: Queue): string {
  const part = (shown: number, all: number) => (shown < all ? `the next ${count(shown)} of ${count(all)}` : count(all))
  const words = [
    ...(next.length > 0 ? [`${part(next.length, queueDepth)} to go`] : []),
    ...(scheduled.length > 0 ? [`${part(scheduled.length, scheduledCount)} scheduled`] : []),
  ].join(', ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

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
