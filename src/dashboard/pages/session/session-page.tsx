// One session: what it is, how it is, and its tabs.
import { useRoute } from 'preact-iso'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { LiveEvent, Session } from '../../api/resources.ts'
import { useLive } from '../../api/use-live.ts'
import { useLoad } from '../../api/use-load.ts'
import { Badge, Score } from '../../parts/badge.tsx'
import { Load } from '../../parts/states.tsx'
import { phone, statusOf, troubleOf } from '../../parts/words.ts'
import { KeysTab } from './keys-tab.tsx'
import { MessagesTab } from './messages-tab.tsx'
import { OverviewTab } from './overview-tab.tsx'
import { QueueTab } from './queue-tab.tsx'
import { SendDialog } from './send-dialog.tsx'
import { SessionEventsContext, sessionEventTypes, type SessionEvents } from './session-events.ts'
import { SettingsTab } from './settings-tab.tsx'
import { WebhooksTab } from './webhooks-tab.tsx'

const refreshMs = 10_000

const tabs = {
  overview: { label: 'Overview', Tab: OverviewTab },
  queue: { label: 'Queue', Tab: QueueTab },
  messages: { label: 'Messages', Tab: MessagesTab },
  webhooks: { label: 'Webhooks', Tab: WebhooksTab },
  keys: { label: 'Keys', Tab: KeysTab },
  settings: { label: 'Settings', Tab: SettingsTab },
} as const
type TabName = keyof typeof tabs

export interface TabProps {
  session: Session
  onChanged: (session: Session) => void
}

export function SessionPage() {
  const { params } = useRoute()
  const id = params['id'] ?? ''
  const tab: TabName = isTab(params['tab']) ? params['tab'] : 'overview'
  const path = `/v1/sessions/${encodeURIComponent(id)}`
  const session = useLoad(path, (signal) => request<Session>('GET', path, { signal }), refreshMs)
  const events = useMemo<SessionEvents>(() => ({ listeners: new Set() }), [id])
  useLive(session.fault?.kind === 'missing' ? null : `${path}/events/stream`, sessionEventTypes, {
    onEvent: (event: LiveEvent) => {
      const changed = event.data.session
      if (changed) session.patch((before) => ({ ...before, ...withoutOldReason(changed) }))
      for (const listener of events.listeners) listener(event)
    },
    onGap: () => {
      session.reload()
      for (const listener of events.listeners) listener('gap')
    },
  })
  const name = session.data?.displayName
  useEffect(() => {
    document.title = `${name ?? 'Session'} · Ujumbe`
  }, [name])
  return (
    <SessionEventsContext.Provider value={events}>
      <nav class="crumbs" aria-label="Breadcrumb">
        <a href="/">Sessions</a>
      </nav>
      {session.data === undefined && <h1 class="unseen">Session</h1>}
      <Load of={session} what="session">
        {(data) => <Found key={data.id} session={data} tab={tab} onChanged={(changed) => session.patch(() => changed)} />}
      </Load>
    </SessionEventsContext.Provider>
  )
}

/** A field that is left out in an event is gone, not unchanged. */
function withoutOldReason(session: Session): Partial<Session> {
  return { statusReason: undefined, restriction: undefined, ...session } as Partial<Session>
}

function isTab(name: string | undefined): name is TabName {
  return name !== undefined && Object.hasOwn(tabs, name)
}

function Found({ session, tab, onChanged }: TabProps & { tab: TabName }) {
  const [isSendOpen, setSendOpen] = useState(false)
  const status = statusOf(session)
  const { Tab } = tabs[tab]
  const trouble = troubleOf(session)
  return (
    <>
      <div class="page-head session-head">
        <Score health={session.health} />
        <div class="title">
          <h1>{session.displayName}</h1>
          <p class="facts">
            <Badge tone={status.tone}>{status.label}</Badge>
            <span>{phone(session.phoneNumber) ?? 'no number yet'}</span>
            {session.pushName && <span>{session.pushName}</span>}
          </p>
        </div>
        {session.phoneNumber !== null && session.status !== 'logged_out' && (
          <button type="button" onClick={() => setSendOpen(true)}>
            Send a message
          </button>
        )}
      </div>
      {trouble && session.status !== 'pairing' && (
        <p class={`trouble ${status.tone}`} role="status">
          {trouble}
        </p>
      )}
      <Tabs id={session.id} current={tab} />
      <Tab session={session} onChanged={onChanged} />
      {isSendOpen && <SendDialog session={session} onClose={() => setSendOpen(false)} />}
    </>
  )
}

function Tabs({ id, current }: { id: string; current: TabName }) {
  const bar = useRef<HTMLElement>(null)
  // On a narrow screen the bar scrolls sideways, and the chosen tab may be out of sight.
  useEffect(() => bar.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' }), [current])
  return (
    <nav ref={bar} class="tabs" aria-label="Parts of this session">
      {Object.entries(tabs).map(([name, { label }]) => (
        <a
          key={name}
          href={name === 'overview' ? `/sessions/${id}` : `/sessions/${id}/${name}`}
          {...(name === current ? { 'aria-current': 'page' as const } : {})}
        >
          {label}
        </a>
      ))}
    </nav>
  )
}
