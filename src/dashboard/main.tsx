// Starts the dashboard.
import './style/pico.css'
import { render } from 'preact'
import { App } from './app.tsx'
import './style/base.css'
import './style/parts.css'
import './style/sessions.css'
import './style/session.css'
import './style/lists.css'

// An address that cannot be decoded names nothing.
try {
  decodeURIComponent(location.pathname)
} catch {
  history.replaceState(null, '', '/')
}

const root = document.getElementById('app')
if (root) render(<App />, root)
