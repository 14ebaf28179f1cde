// All sessions, the sickest on top: found, filtered, and live.
import { useLocation } from 'preact-iso'
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { LiveEvent, SessionLine } from '../../api/resources.ts'
import { useLive } from '../../api/use-live.ts'
import { useLoad, type Loaded } from '../../api/use-load.ts'
import { Empty, Load } from '../../parts/states.tsx'
import { count, plural } from '../../parts/words.ts'
import { FirstRun } from './first-run.tsx'
import { applySession, listSessions, matches, type SessionList } from './list-sessions.ts'
import { NewSession } from './new-session.tsx'
import { SessionTable } from './session-table.tsx'
import { bySickness, filterOf, filters, filterWords, type Filter } from './sickness.ts'

/** Of thousands the list is long: live events tell what matters in between. */
const refreshMs = { some: 10_000, many: 60_000 }
const manyLines = 1_500
const sessionId = /^ses_\w+$/
const liveTypes = ['session.status', 'session.health', 'session.restricted']

export function SessionsPage() {
  const { query, route } = useLocation()
  const [isLong, setLong] = useState(false)
  const sessions = useLoad('sessions', listSessions, isLong ? refreshMs.many : refreshMs.some)
  const lineCount = sessions.data?.lines.length ?? 0
  useEffect(() => setLong(lineCount > manyLines), [lineCount])
  const [isNewOpen, setNewOpen] = useState(false)
  useEffect(() => {
    document.title = 'Sessions · Ujumbe'
  }, [])
  useLive('/v1/events/stream', liveTypes, {
    onEvent: (event) => applyEvent(sessions, event),
    onGap: sessions.reload,
  })
  return (
    <>
      <div class="page-head">
        <h1>Sessions</h1>
        <button type="button" onClick={() => setNewOpen(true)}>
          New session
        </button>
      </div>
      <Load of={sessions} what="sessions" rows={6}>
        {(data) =>
          data.lines.length === 0 ? (
            <FirstRun onStart={() => setNewOpen(true)} />
          ) : (
            <Found list={data} filter={filterFrom(query['show'])} />
          )
        }
      </Load>
      {isNewOpen && (
        <NewSession
          onClose={() => {
            setNewOpen(false)
            sessions.reload()
          }}
          onOpen={(id) => route(`/sessions/${id}`)}
        />
      )}
    </>
  )
}

function applyEvent(sessions: Loaded<SessionList>, event: LiveEvent): void {
  const { session } = event.data
  if (!session) return
  const change = (line: SessionLine) => (line.id === session.id ? applySession(line, session) : line)
  sessions.patch(({ lines, isCut }) => ({ lines: lines.map(change), isCut }))
  // One that is not listed has just been made, unless many are not.
  const { data } = sessions
  if (!data?.isCut && !data?.lines.some((line) => line.id === session.id)) sessions.reloadSoon()
}

function filterFrom(value: string | undefined): Filter {
  return filters.find((filter) => filter === value) ?? 'all'
}

function Found({ list, filter }: { list: SessionList; filter: Filter }) {
  const { lines, isCut } = list
  const [search, setSearch] = useState('')
  const counts = useMemo(() => Map.groupBy(lines, filterOf), [lines])
  const shown = useMemo(
    () => lines.filter((line) => (filter === 'all' || filterOf(line) === filter) && matches(line, search)).toSorted(bySickness),
    [lines, filter, search],
  )
  return (
    <>
      <div class="tools">
        <nav class="filters" aria-label="Show">
          {filters.map((name) => {
            const size = name === 'all' ? lines.length : (counts.get(name)?.length ?? 0)
            if (size === 0 && name !== filter) return null
            return (
              <a
                key={name}
                href={name === 'all' ? '/' : `/?show=${name}`}
                class={name}
                {...(name === filter ? { 'aria-current': 'true' as const } : {})}
              >
                {filterWords[name]} <span class="size">{count(size)}</span>
              </a>
            )
          })}
        </nav>
        <input
          type="search"
          aria-label="Search by name or number"
          placeholder="Search name or number"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      </div>
      <p class="unseen" role="status">
        {plural(shown.length, 'session')} shown
      </p>
      {isCut && (
        <p class="quiet">
          These are the newest {count(lines.length)} sessions. Older ones are not listed; search for the id of one to open it.
        </p>
      )}
      {shown.length === 0 ? (
        <Empty title="No session fits">
          <p>
            {search
              ? `Nothing is called “${search}”${filter === 'all' ? '' : ' among these'}.`
              : 'No session is in this state now.'}
          </p>
          {isCut && sessionId.test(search.trim()) && (
            <p>
              <a href={`/sessions/${search.trim()}`}>Open {search.trim()}</a>
            </p>
          )}
          <p>
            <a href="/" onClick={() => setSearch('')}>
              Show all sessions
            </a>
          </p>
        </Empty>
      ) : (
        <SessionTable lines={shown} />
      )}
    </>
  )
}
