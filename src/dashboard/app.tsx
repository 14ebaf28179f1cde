// The frame of every page: navigation, the state of the connection, and the sign-in in front of everything.
import { LocationProvider, Route, Router, useLocation } from 'preact-iso'
import { useEffect, useErrorBoundary } from 'preact/hooks'
import { reachable, request, signedIn, signOut } from './api/request.ts'
import { liveState } from './api/use-live.ts'
import { staleLoads } from './api/use-load.ts'
import { FleetPage } from './pages/fleet/fleet-page.tsx'
import { SessionPage } from './pages/session/session-page.tsx'
import { SessionsPage } from './pages/sessions/sessions-page.tsx'
import { SignInPage } from './pages/sign-in-page.tsx'
import { Offline, Stale } from './parts/banners.tsx'
import { Notices } from './parts/notice.tsx'

/** Everything else on this host is a page of its own. */
const ownPaths = /^\/(?:$|\?|sessions\/|fleet$)/

export function App() {
  return (
    <LocationProvider scope={ownPaths}>
      <Gate />
      <Notices />
    </LocationProvider>
  )
}

function Gate() {
  const [error] = useErrorBoundary()
  useEffect(() => {
    if (signedIn.value === 'unknown') void askWhoWeAre()
  }, [])
  if (error) return <BrokenPage />
  if (signedIn.value === 'no') return <SignInPage />
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <TopBar />
      <Offline />
      <Stale />
      <main id="main" tabIndex={-1}>
        {signedIn.value === 'yes' && (
          <Router>
            <Route path="/" component={SessionsPage} />
            <Route path="/sessions/:id/:tab?" component={SessionPage} />
            <Route path="/fleet" component={FleetPage} />
            <Route default component={NoSuchPage} />
          </Router>
        )}
      </main>
    </>
  )
}

/** Tries until there is an answer: it says whether the browser's cookie is good. */
async function askWhoWeAre(): Promise<void> {
  while (signedIn.value === 'unknown') {
    await request('GET', '/v1/sessions?limit=1').catch(() => undefined)
    if (signedIn.value === 'unknown') await new Promise((done) => setTimeout(done, 2_000))
  }
}

function TopBar() {
  const { path } = useLocation()
  const current = (isIt: boolean) => (isIt ? { 'aria-current': 'page' as const } : {})
  return (
    <header class="bar">
      <nav aria-label="Main">
        <a class="brand" href="/">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path d="M8 3h16a6 6 0 0 1 6 6v9a6 6 0 0 1-6 6h-8.500L8 30v-6a6 6 0 0 1-6-6V9a6 6 0 0 1 6-6Z" />
            <path class="pulse" d="M7.5 14h4l2.5-5.5 4 10 2.5-4.500h4" />
          </svg>
          Ujumbe
        </a>
        <ul>
          <li>
            <a href="/" {...current(path === '/' || path.startsWith('/sessions'))}>
              Sessions
            </a>
          </li>
          <li>
            <a href="/fleet" {...current(path === '/fleet')}>
              Fleet
            </a>
          </li>
          <li>
            <a href="/queues">Queues</a>
          </li>
          <li>
            <a href="/docs">API</a>
          </li>
        </ul>
      </nav>
      <LiveMark />
      <button type="button" class="plain" onClick={() => void signOut()}>
        Sign out
      </button>
    </header>
  )
}

const liveWords = {
  off: null,
  connecting: { label: 'Connecting…', title: 'Asking for live events' },
  live: { label: 'Live', title: 'Changes appear as they happen' },
  polling: { label: 'Every 10 s', title: 'Live events are not available; this page refreshes by itself' },
} as const

function LiveMark() {
  const isFresh = reachable.value && staleLoads.value.length === 0
  const words = isFresh ? liveWords[liveState.value] : null
  if (!words) return <span class="live" />
  return (
    <span class={`live ${liveState.value}`} title={words.title}>
      {words.label}
    </span>
  )
}

/** A fault of this page itself: better said than a blank screen. */
function BrokenPage() {
  return (
    <main id="main">
      <div class="empty" role="alert">
        <h1>This page has stopped working</h1>
        <p>That is a fault of the dashboard, not of your sessions: they go on. Reload to try again.</p>
        <button type="button" onClick={() => location.assign('/')}>
          Reload
        </button>
      </div>
    </main>
  )
}

function NoSuchPage() {
  return (
    <div class="empty">
      <h1>There is no such page</h1>
      <p>
        <a href="/">Back to the sessions</a>
      </p>
    </div>
  )
}
