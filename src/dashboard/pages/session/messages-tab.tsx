// Messages, newest first, as they move.
import { useState } from 'preact/hooks'
import type { Message, Page } from '../../api/resources.ts'
import { useLoad } from '../../api/use-load.ts'
import { useTask } from '../../api/use-task.ts'
import { textOf } from '../../parts/form.ts'
import { Empty, Load, Problem } from '../../parts/states.tsx'
import { messageWords } from '../../parts/words.ts'
import { listMessages, listMore, newer, type MessageFilter } from './list-messages.ts'
import { MessageLine } from './message-line.tsx'
import { useSessionEvents } from './session-events.ts'
import type { TabProps } from './session-page.tsx'

const refreshMs = 30_000

export function MessagesTab({ session }: TabProps) {
  const [filter, setFilter] = useState<MessageFilter>({})
  const key = `${session.id}/messages?${JSON.stringify(filter)}`
  const isFiltered = Boolean(filter.status || filter.direction || filter.to)
  const [older, setOlder] = useState<{ key: string; page: Page<Message> }>()
  const more = older?.key === key ? older.page : undefined
  const newest = useLoad(key, (signal) => listMessages(session.id, filter, signal), more ? undefined : refreshMs)
  useSessionEvents((event) => {
    const message = event === 'gap' ? undefined : event.data.message
    if (!message) return
    const isShown = newest.data?.data.some((each) => each.id === message.id) ?? false
    if (isShown) newest.patch((page) => ({ ...page, data: replaced(page.data, message) }))
    if (more?.data.some((each) => each.id === message.id))
      setOlder({ key, page: { ...more, data: replaced(more.data, message) } })
    else if (!isShown) newest.reloadSoon()
  })
  const cursor = more ? more.nextCursor : (newest.data?.nextCursor ?? null)
  const loadMore = useTask(async () => {
    if (cursor === null) return
    const page = await listMore(session.id, filter, cursor)
    setOlder({ key, page: { ...page, data: [...(more?.data ?? []), ...page.data] } })
  })
  return (
    <section aria-labelledby="messages-title">
      <div class="section-head">
        <h2 id="messages-title">Messages</h2>
        <Filters filter={filter} onChange={setFilter} />
      </div>
      <Load of={newest} what="messages" rows={6}>
        {({ data }) => {
          const seen = new Set(data.map((message) => message.id))
          const all = [...data, ...(more?.data ?? []).filter((message) => !seen.has(message.id))]
          if (all.length === 0) return <NoMessages isFiltered={isFiltered} />
          return (
            <>
              <div class="messages">
                {all.map((message) => (
                  <MessageLine key={message.id} message={message} />
                ))}
              </div>
              {cursor !== null && (
                <p class="more">
                  <button
                    type="button"
                    class="secondary"
                    aria-busy={loadMore.isBusy}
                    disabled={loadMore.isBusy}
                    onClick={() => void loadMore.run()}
                  >
                    Show older
                  </button>
                </p>
              )}
              <Problem fault={loadMore.fault} />
            </>
          )
        }}
      </Load>
    </section>
  )
}

function replaced(messages: Message[], message: Message): Message[] {
  return messages.map((each) => (each.id === message.id ? newer(each, message) : each))
}

function NoMessages({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered)
    return (
      <Empty title="No message fits">
        <p>Choose another state or direction, or clear the number.</p>
      </Empty>
    )
  return (
    <Empty title="No messages yet">
      <p>What this session sends and receives appears here at once. They are kept for 30 days.</p>
    </Empty>
  )
}

const statuses = [
  'scheduled',
  'queued',
  'sending',
  'sent',
  'delivered',
  'read',
  'failed',
  'expired',
  'canceled',
  'received',
] as const

function Filters({ filter, onChange }: { filter: MessageFilter; onChange: (filter: MessageFilter) => void }) {
  return (
    <form
      class="tools"
      aria-label="Filter messages"
      onSubmit={(event) => {
        event.preventDefault()
        onChange({ ...filter, to: textOf(new FormData(event.currentTarget), 'to') })
      }}
    >
      <select
        aria-label="Direction"
        value={filter.direction ?? ''}
        onChange={(event) => onChange({ ...filter, direction: event.currentTarget.value })}
      >
        <option value="">Both ways</option>
        <option value="outbound">Sent</option>
        <option value="inbound">Received</option>
      </select>
      <select
        aria-label="State"
        value={filter.status ?? ''}
        onChange={(event) => onChange({ ...filter, status: event.currentTarget.value })}
      >
        <option value="">Any state</option>
        {statuses.map((status) => (
          <option key={status} value={status}>
            {messageWords[status].label}
          </option>
        ))}
      </select>
      <input
        type="search"
        name="to"
        aria-label="Number"
        placeholder="+254 712 …"
        onChange={(event) => onChange({ ...filter, to: event.currentTarget.value.trim() })}
      />
    </form>
  )
}
