// Where this session's events go: its endpoints, and a form for another one.
import { useState } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { Endpoint, Page } from '../../api/resources.ts'
import { useLoad } from '../../api/use-load.ts'
import { useTask } from '../../api/use-task.ts'
import { Dialog } from '../../parts/dialog.tsx'
import { namesOf, textOf } from '../../parts/form.ts'
import { Secret } from '../../parts/secret.tsx'
import { Empty, Load, Problem } from '../../parts/states.tsx'
import { EndpointCard } from './endpoint-card.tsx'
import { useSessionEvents } from './session-events.ts'
import type { TabProps } from './session-page.tsx'

const refreshMs = 10_000

export function WebhooksTab({ session }: TabProps) {
  const path = `/v1/sessions/${session.id}/webhooks`
  const endpoints = useLoad(path, (signal) => request<Page<Endpoint>>('GET', `${path}?limit=100`, { signal }), refreshMs)
  const [isOpen, setOpen] = useState(false)
  useSessionEvents((event) => {
    if (event === 'gap' || event.type === 'webhook.disabled') endpoints.reload()
  })
  return (
    <section aria-labelledby="webhooks-title">
      <div class="section-head">
        <h2 id="webhooks-title">Webhooks</h2>
        <button type="button" class="secondary" onClick={() => setOpen(true)}>
          Add an endpoint
        </button>
      </div>
      <Load of={endpoints} what="webhooks">
        {({ data }) =>
          data.length === 0 ? (
            <Empty title="Nobody is told what happens here">
              <p>Add an endpoint: its address gets a signed POST for each event, and again until it answers 2xx.</p>
            </Empty>
          ) : (
            data.map((endpoint) => (
              <EndpointCard key={endpoint.id} path={`${path}/${endpoint.id}`} endpoint={endpoint} onChanged={endpoints.reload} />
            ))
          )
        }
      </Load>
      {isOpen && <NewEndpoint path={path} onClose={() => setOpen(false)} onMade={endpoints.reload} />}
    </section>
  )
}

function NewEndpoint({ path, onClose, onMade }: { path: string; onClose: () => void; onMade: () => void }) {
  const [made, setMade] = useState<Endpoint & { secret: string }>()
  const task = useTask(async (form: HTMLFormElement) => {
    const fields = new FormData(form)
    setMade(await request('POST', path, { body: { url: textOf(fields, 'url'), events: namesOf(fields, 'events') } }))
    onMade()
  })
  if (made)
    return (
      <Dialog title="Endpoint added" onClose={onClose}>
        <p>Your receiver needs this to check signatures. It is shown only once.</p>
        <Secret label="Signing secret" value={made.secret} />
        <footer>
          <button type="button" onClick={onClose}>
            Done
          </button>
        </footer>
      </Dialog>
    )
  return (
    <Dialog title="Add an endpoint" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void task.run(event.currentTarget)
        }}
      >
        <label>
          Address
          <input name="url" type="url" required autoFocus placeholder="https://example.com/whatsapp" maxLength={2048} />
        </label>
        <label>
          Events
          <input name="events" required defaultValue="message.*, session.*" aria-describedby="events-help" />
        </label>
        <p id="events-help" class="help">
          Names or patterns, with commas between: <code>message.*</code>, <code>session.status</code>, <code>*</code> for all.
        </p>
        <Problem fault={task.fault} />
        <footer>
          <button type="button" class="secondary" onClick={onClose}>
            Cancel
          </button>
          <button aria-busy={task.isBusy} disabled={task.isBusy}>
            Add
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
