// Signing in: the key goes to the API once and comes back as a cookie that no script can read.
import { useState } from 'preact/hooks'
import { signIn } from '../api/request.ts'
import { useTask } from '../api/use-task.ts'
import { Problem } from '../parts/states.tsx'

export function SignInPage() {
  const [key, setKey] = useState('')
  const task = useTask(() => signIn(key.trim()))
  return (
    <main class="sign-in" id="main">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void task.run()
        }}
      >
        <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
          <path d="M8 3h16a6 6 0 0 1 6 6v9a6 6 0 0 1-6 6h-8.5L8 30v-6a6 6 0 0 1-6-6V9a6 6 0 0 1 6-6Z" />
          <path class="pulse" d="M7.5 14h4l2.5-5.5 4 10 2.5-4.5h4" />
        </svg>
        <h1>Sign in to Ujumbe</h1>
        <label>
          Admin key
          <input
            type="password"
            name="key"
            autoComplete="current-password"
            placeholder="uj_admin_…"
            maxLength={200}
            required
            autoFocus
            value={key}
            aria-invalid={task.fault ? true : undefined}
            aria-describedby="key-help"
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        <Problem fault={task.fault} />
        <button aria-busy={task.isBusy} disabled={task.isBusy}>
          Sign in
        </button>
        <p id="key-help" class="help">
          It was printed when Ujumbe first started, and stands in <code>admin-key</code> in its data directory. The browser keeps
          a cookie for 12 hours, never the key.
        </p>
      </form>
    </main>
  )
}
