// Settings of a session, and the three ways to end it.
import { useLocation } from 'preact-iso'
import { useState } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { Session } from '../../api/resources.ts'
import { useTask } from '../../api/use-task.ts'
import { Confirm } from '../../parts/dialog.tsx'
import { textOf } from '../../parts/form.ts'
import { notify } from '../../parts/notice.tsx'
import { Problem } from '../../parts/states.tsx'
import type { TabProps } from './session-page.tsx'
import { pacingFields, readSettings } from './settings-form.ts'

export function SettingsTab({ session, onChanged }: TabProps) {
  const path = `/v1/sessions/${session.id}`
  const save = useTask(async (form: HTMLFormElement) => {
    const fields = new FormData(form)
    const settings = readSettings(fields, session.settings)
    const displayName = textOf(fields, 'displayName')
    onChanged(await request<Session>('PATCH', path, { body: { displayName, settings } }))
    notify('Saved')
  })
  const { settings } = session
  return (
    <>
      <section aria-labelledby="settings-title">
        <h2 id="settings-title">Settings</h2>
        <form
          class="settings"
          onSubmit={(event) => {
            event.preventDefault()
            void save.run(event.currentTarget)
          }}
        >
          <label>
            Name
            <input name="displayName" required maxLength={100} defaultValue={session.displayName} autoComplete="off" />
          </label>
          <fieldset>
            <legend>Pace</legend>
            <p class="help">Messages above these wait, they are not refused. Leave a field empty to switch it off.</p>
            <div class="fields">
              {pacingFields.map(({ name, label, help, min, max }) => (
                <label key={name}>
                  {label}
                  <input
                    name={name}
                    inputMode="decimal"
                    pattern={name === 'newContactsPerDay' ? 'warmup|\\d*' : '\\d*(\\.\\d+)?'}
                    title={help}
                    min={min}
                    max={max}
                    placeholder="off"
                    defaultValue={settings[name] === null ? '' : String(settings[name])}
                    aria-describedby={`${name}-help`}
                    autoComplete="off"
                  />
                  <small id={`${name}-help`}>{help}</small>
                </label>
              ))}
            </div>
          </fieldset>
          <fieldset>
            <legend>Behaviour</legend>
            <label>
              <input type="checkbox" role="switch" name="typing" defaultChecked={settings.typing} /> Show “typing…” before a text
            </label>
            <label>
              <input type="checkbox" role="switch" name="markOnline" defaultChecked={settings.markOnline} /> Show the account as
              online
            </label>
            <div class="fields">
              <label>
                Messages that may wait
                <input
                  name="maxQueueDepth"
                  type="number"
                  min={1}
                  max={1_000_000}
                  required
                  defaultValue={String(settings.maxQueueDepth)}
                />
                <small>More are refused with 429.</small>
              </label>
              <label>
                Seconds to pair
                <input
                  name="pairingTimeoutSeconds"
                  type="number"
                  min={30}
                  max={86_400}
                  required
                  defaultValue={String(settings.pairingTimeoutSeconds)}
                />
                <small>How long QR codes are renewed.</small>
              </label>
            </div>
            <label>
              Proxy
              <input
                name="proxyUrl"
                maxLength={2_000}
                placeholder="none"
                defaultValue={settings.proxyUrl ?? ''}
                aria-describedby="proxyUrl-help"
                autoComplete="off"
                spellcheck={false}
              />
              <small id="proxyUrl-help">
                socks5://user:password@host:1080, or the same with http. Never connected without it. *** stands for the password
                that is set.
              </small>
            </label>
          </fieldset>
          <Problem fault={save.fault} />
          <p>
            <button aria-busy={save.isBusy} disabled={save.isBusy}>
              Save
            </button>
          </p>
        </form>
      </section>
      <EndIt session={session} onChanged={onChanged} />
    </>
  )
}

type Ending = 'disconnect' | 'logout' | 'delete'

const endings: Record<Ending, { label: string; title: string; action: string; text: string; done: string }> = {
  disconnect: {
    label: 'Disconnect…',
    title: 'Disconnect this session?',
    action: 'Disconnect',
    text: 'It sends and receives nothing until you connect it again. The pairing stays; messages wait in the queue.',
    done: 'It is being disconnected',
  },
  logout: {
    label: 'Log out…',
    title: 'Log out at WhatsApp?',
    action: 'Log out',
    text: 'The phone forgets this device, and its credentials are erased. Messages that wait or are scheduled will fail. It must be paired again.',
    done: 'It is being logged out',
  },
  delete: {
    label: 'Delete…',
    title: 'Delete this session?',
    action: 'Delete for ever',
    text: 'It is logged out, and its messages, keys and webhooks are erased; the event log of the fleet keeps its events for 7 days. This cannot be taken back.',
    done: 'Session deleted',
  },
}

function EndIt({ session, onChanged }: TabProps) {
  const [open, setOpen] = useState<Ending | null>(null)
  const { route } = useLocation()
  const path = `/v1/sessions/${session.id}`
  const offered: Ending[] = ['logout', 'delete']
  if (session.status !== 'disconnected' && session.status !== 'logged_out') offered.unshift('disconnect')
  const end = async (ending: Ending) => {
    if (ending === 'delete') {
      await request('DELETE', path)
      route('/')
    } else onChanged(await request<Session>('POST', `${path}/${ending}`, { body: {} }))
    notify(endings[ending].done)
  }
  return (
    <section class="ends" aria-labelledby="ends-title">
      <h2 id="ends-title">Stop or remove</h2>
      <div class="buttons">
        {offered.map((ending) => (
          <button
            key={ending}
            type="button"
            class={ending === 'delete' ? 'danger outlined' : 'secondary'}
            onClick={() => setOpen(ending)}
          >
            {endings[ending].label}
          </button>
        ))}
      </div>
      {open && (
        <Confirm
          title={endings[open].title}
          action={endings[open].action}
          onClose={() => setOpen(null)}
          onConfirm={() => end(open)}
        >
          <p>{endings[open].text}</p>
        </Confirm>
      )}
    </section>
  )
}
