// A new session: its name, where its events go; then its secrets, shown once.
import { useState } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { Session } from '../../api/resources.ts'
import { useTask } from '../../api/use-task.ts'
import { Dialog } from '../../parts/dialog.tsx'
import { textOf } from '../../parts/form.ts'
import { Secret } from '../../parts/secret.tsx'
import { Problem } from '../../parts/states.tsx'

type Created = Session & { apiKey: string; webhookSecret?: string }

interface NewSessionProps {
  onClose: () => void
  onOpen: (id: string) => void
}

export function NewSession({ onClose, onOpen }: NewSessionProps) {
  const [created, setCreated] = useState<Created>()
  if (created) return <Made created={created} onClose={onClose} onOpen={onOpen} />
  return <Form onClose={onClose} onCreated={setCreated} />
}

function Form({ onClose, onCreated }: { onClose: () => void; onCreated: (created: Created) => void }) {
  const task = useTask(async (form: HTMLFormElement) => {
    const fields = new FormData(form)
    const webhookUrl = textOf(fields, 'webhookUrl')
    const pairingPhoneNumber = textOf(fields, 'pairingPhoneNumber')
    onCreated(
      await request<Created>('POST', '/v1/sessions', {
        body: {
          displayName: textOf(fields, 'displayName'),
          ...(webhookUrl === '' ? {} : { webhookUrl }),
          ...(pairingPhoneNumber === '' ? {} : { pairingPhoneNumber }),
        },
      }),
    )
  })
  return (
    <Dialog title="New session" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void task.run(event.currentTarget)
        }}
      >
        <label>
          Name
          <input name="displayName" required maxLength={100} autoFocus autoComplete="off" placeholder="Clinic" />
        </label>
        <label>
          Phone number <span class="optional">optional, to pair by code</span>
          <input name="pairingPhoneNumber" type="tel" autoComplete="off" placeholder="+254 712 345 678" maxLength={100} />
        </label>
        <label>
          Webhook address <span class="optional">optional</span>
          <input name="webhookUrl" type="url" autoComplete="off" placeholder="https://example.com/whatsapp" maxLength={2048} />
        </label>
        <Problem fault={task.fault} />
        <footer>
          <button type="button" class="secondary" onClick={onClose}>
            Cancel
          </button>
          <button aria-busy={task.isBusy} disabled={task.isBusy}>
            Make session
          </button>
        </footer>
      </form>
    </Dialog>
  )
}

function Made({ created, onClose, onOpen }: { created: Created } & NewSessionProps) {
  return (
    <Dialog title={`${created.displayName} is ready to be paired`} onClose={onClose}>
      <p>Copy these now: they are shown only once. You can make new ones later.</p>
      <Secret label="API key" value={created.apiKey} />
      {created.webhookSecret && <Secret label="Webhook signing secret" value={created.webhookSecret} />}
      <footer>
        <button type="button" class="secondary" onClick={onClose}>
          Close
        </button>
        <button type="button" onClick={() => onOpen(created.id)}>
          Link the phone
        </button>
      </footer>
    </Dialog>
  )
}
