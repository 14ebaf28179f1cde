// All sessions, the sickest on top: found, filtered, and live.
import { useLocation } from 'preact-iso'
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { LiveEvent, SessionLine } from '../../api/resources.ts'
import { useLive } from '../../api/use-live.ts'
import { useLoad, type Loaded } from '../../api/use-load.ts'
import { Empty, Load } from '../../parts/states.tsx'
import { count, plural } from '../../parts/words.ts'
import { FirstRun } from './first-run.tsx'
import { applySession, listSessions, matches } from './list-sessions.ts'
import { NewSession } from './new-session.tsx'
import { SessionTable } from './session-table.tsx'
import { bySickness, filterOf, filters, filterWords, type Filter } from './sickness.ts'

/** Of thousands the list is long: live events tell what matters in between. */
const refreshMs = { some: 10_000, many: 60_000 }
const manyLines = 1_500
const liveTypes = ['session.status', 'session.health', 'session.restricted']

export function SessionsPage() {
  const { query, route } = useLocation()
  const [isLong, setLong] = useState(false)
  const lines = useLoad('sessions', listSessions, isLong ? refreshMs.many : refreshMs.some)
  const lineCount = lines.data?.length ?? 0
  useEffect(() => setLong(lineCount > manyLines), [lineCount])
  const [isNewOpen, setNewOpen] = useState(false)
  useEffect(() => {
    document.title = 'Sessions · Ujumbe'
  }, [])
  useLive('/v1/events/stream', liveTypes, {
    onEvent: (event) => applyEvent(lines, event),
    onGap: lines.reload,
  })
  return (
    <>
      <div class="page-head">
        <h1>Sessions</h1>
        <button type="button" onClick={() => setNewOpen(true)}>
          New session
        </button>
      </div>
      <Load of={lines} what="sessions" rows={6}>
        {(data) =>
          data.length === 0 ? (
            <FirstRun onStart={() => setNewOpen(true)} />
          ) : (
            <Found lines={data} filter={filterFrom(query['show'])} />
          )
        }
      </Load>
      {isNewOpen && (
        <NewSession
          onClose={() => {
            setNewOpen(false)
            lines.reload()
          }}
          onOpen={(id) => route(`/sessions/${id}`)}
        />
      )}
    </>
  )
}

function applyEvent(lines: Loaded<SessionLine[]>, event: LiveEvent): void {
  const { session } = event.data
  if (!session) return
  lines.patch((data) => data.map((line) => (line.id === session.id ? applySession(line, session) : line)))
  // One that is not listed has just been made.
  if (!lines.data?.some((line) => line.id === session.id)) lines.reloadSoon()
}

function filterFrom(value: string | undefined): Filter {
  return filters.find((filter) => filter === value) ?? 'all'
}

function Found({ lines, filter }: { lines: SessionLine[]; filter: Filter }) {
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
      {shown.length === 0 ? (
        <Empty title="No session fits">
          <p>
            {search
              ? `Nothing is called “${search}”${filter === 'all' ? '' : ' among these'}.`
              : 'No session is in this state now.'}
          </p>
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
