// API keys of the session: what they may do; each is shown once, when it is made or renewed.
import { useState } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { Key, Page, Scope } from '../../api/resources.ts'
import { useLoad } from '../../api/use-load.ts'
import { useTask } from '../../api/use-task.ts'
import { Confirm, Dialog } from '../../parts/dialog.tsx'
import { notify } from '../../parts/notice.tsx'
import { Secret } from '../../parts/secret.tsx'
import { Empty, Load, Problem } from '../../parts/states.tsx'
import { Ago, Ahead } from '../../parts/time.tsx'
import type { TabProps } from './session-page.tsx'

const scopes: { name: Scope; label: string }[] = [
  { name: 'read', label: 'Read: session, messages, health, events' },
  { name: 'send', label: 'Send: messages, contact checks' },
  { name: 'manage', label: 'Manage: pairing, keys, webhooks, settings' },
]
const lives = [
  ['', 'never'],
  ['1', 'after a day'],
  ['30', 'after 30 days'],
  ['90', 'after 90 days'],
  ['365', 'after a year'],
] as const

type Open = { kind: 'new' } | { kind: 'shown'; key: string } | { kind: 'rotate' | 'delete'; of: Key } | null

export function KeysTab({ session }: TabProps) {
  const path = `/v1/sessions/${session.id}/keys`
  const keys = useLoad(path, (signal) => request<Page<Key>>('GET', `${path}?limit=200`, { signal }))
  const [open, setOpen] = useState<Open>(null)
  const close = () => setOpen(null)
  return (
    <section aria-labelledby="keys-title">
      <div class="section-head">
        <h2 id="keys-title">API keys</h2>
        <button type="button" class="secondary" onClick={() => setOpen({ kind: 'new' })}>
          Make a key
        </button>
      </div>
      <Load of={keys} what="keys" rows={2}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty title="No key">
              <p>Programs need one to use this session. Only you can reach it now, with the admin key.</p>
            </Empty>
          ) : (
            <ul class="keys">
              {data.map((key) => (
                <li key={key.id} class="panel">
                  <div>
                    <code class="prefix">{key.prefix}…</code>
                    <p class="quiet">
                      {key.scopes.join(', ')} · made <Ago at={key.createdAt} /> ·{' '}
                      {key.expiresAt === null ? (
                        'never ends'
                      ) : Date.parse(key.expiresAt) < Date.now() ? (
                        'has ended'
                      ) : (
                        <>
                          ends <Ahead at={key.expiresAt} />
                        </>
                      )}
                    </p>
                  </div>
                  <div class="buttons">
                    <button
                      type="button"
                      class="secondary"
                      aria-label={`Renew the key ${key.prefix}`}
                      onClick={() => setOpen({ kind: 'rotate', of: key })}
                    >
                      Renew…
                    </button>
                    <button
                      type="button"
                      class="secondary"
                      aria-label={`Delete the key ${key.prefix}`}
                      onClick={() => setOpen({ kind: 'delete', of: key })}
                    >
                      Delete…
                    </button>
                  </div>
                </li>
              ))}
            </ul>
          )
        }
      </Load>
      {open?.kind === 'new' && (
        <NewKey
          path={path}
          onClose={close}
          onMade={(key) => {
            setOpen({ kind: 'shown', key })
            keys.reload()
          }}
        />
      )}
      {open?.kind === 'shown' && (
        <Dialog title="The new key" onClose={close}>
          <p>Copy it now: it is shown only once.</p>
          <Secret label="API key" value={open.key} />
          <footer>
            <button type="button" onClick={close}>
              Done
            </button>
          </footer>
        </Dialog>
      )}
      {open?.kind === 'rotate' && (
        <Confirm
          key="rotate"
          title="Renew this key?"
          action="Renew"
          onClose={() => setOpen((now) => (now?.kind === 'shown' ? now : null))}
          onConfirm={async () => {
            const renewed = await request<{ key: string }>('POST', `${path}/${open.of.id}/rotate`, { body: {} })
            setOpen({ kind: 'shown', key: renewed.key })
            keys.reload()
          }}
        >
          <p>
            <code>{open.of.prefix}…</code> stops working at once. The new one may do the same.
          </p>
        </Confirm>
      )}
      {open?.kind === 'delete' && (
        <Confirm
          title="Delete this key?"
          action="Delete"
          onClose={close}
          onConfirm={async () => {
            await request('DELETE', `${path}/${open.of.id}`)
            notify('Key deleted')
            keys.reload()
          }}
        >
          <p>
            Programs that use <code>{open.of.prefix}…</code> are refused at once.
          </p>
        </Confirm>
      )}
    </section>
  )
}

function NewKey({ path, onClose, onMade }: { path: string; onClose: () => void; onMade: (key: string) => void }) {
  const task = useTask(async (form: HTMLFormElement) => {
    const fields = new FormData(form)
    const days = Number(fields.get('days'))
    const { key } = await request<{ key: string }>('POST', path, {
      body: {
        scopes: fields.getAll('scopes'),
        ...(days > 0 ? { expiresAt: new Date(Date.now() + days * 86_400_000).toISOString() } : {}),
      },
    })
    onMade(key)
  })
  return (
    <Dialog title="Make a key" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void task.run(event.currentTarget)
        }}
      >
        <fieldset>
          <legend>It may</legend>
          {scopes.map(({ name, label }) => (
            <label key={name}>
              <input type="checkbox" name="scopes" value={name} defaultChecked={name !== 'manage'} autoFocus={name === 'read'} />{' '}
              {label}
            </label>
          ))}
        </fieldset>
        <label>
          It ends
          <select name="days">
            {lives.map(([days, label]) => (
              <option key={days} value={days}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <Problem fault={task.fault} />
        <footer>
          <button type="button" class="secondary" onClick={onClose}>
            Cancel
          </button>
          <button aria-busy={task.isBusy} disabled={task.isBusy}>
            Make key
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
