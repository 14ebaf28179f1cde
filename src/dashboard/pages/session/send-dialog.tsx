// Sending a message to try the session, and watching it on its way until it is read.
import { useRef, useState } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { Message, Session } from '../../api/resources.ts'
import { useLoad } from '../../api/use-load.ts'
import { useTask } from '../../api/use-task.ts'
import { Badge } from '../../parts/badge.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { textOf } from '../../parts/form.ts'
import { Quote } from '../../parts/quoted.tsx'
import { Problem } from '../../parts/states.tsx'
import { messageWords } from '../../parts/words.ts'
import { newer } from './list-messages.ts'
import { Held, nameOf, TimeLine } from './message-line.tsx'
import { useSessionEvents } from './session-events.ts'

interface SendDialogProps {
  session: Session
  onClose: () => void
}

export function SendDialog({ session, onClose }: SendDialogProps) {
  const [sent, setSent] = useState<Message>()
  return (
    <Dialog title={sent ? `Message to ${nameOf(sent.to)}` : `Send from ${session.displayName}`} onClose={onClose}>
      {sent ? (
        <OnItsWay message={sent} onAgain={() => setSent(undefined)} onClose={onClose} />
      ) : (
        <Compose session={session} onSent={setSent} onClose={onClose} />
      )}
    </Dialog>
  )
}

function Compose({ session, onSent, onClose }: SendDialogProps & { onSent: (message: Message) => void }) {
  /** The same until it is accepted: pressing twice after a time-out sends once. */
  const idempotencyKey = useRef(newKey())
  const task = useTask(async (form: HTMLFormElement) => {
    const fields = new FormData(form)
    onSent(
      await request<Message>('POST', `/v1/sessions/${session.id}/messages`, {
        body: { to: textOf(fields, 'to'), type: 'text', text: { body: textOf(fields, 'text') } },
        headers: { 'Idempotency-Key': idempotencyKey.current },
      }),
    )
  })
  return (
    <form
      onInput={() => (idempotencyKey.current = newKey())}
      onSubmit={(event) => {
        event.preventDefault()
        void task.run(event.currentTarget)
      }}
    >
      <label>
        To
        <input name="to" type="tel" required maxLength={100} autoFocus autoComplete="off" placeholder="+254 712 345 678" />
      </label>
      <label>
        Message
        <textarea name="text" required rows={3} maxLength={65_536} />
      </label>
      {session.status !== 'connected' && (
        <p class="help">The session is not connected now. The message waits in its queue until it is.</p>
      )}
      <Problem fault={task.fault} />
      <footer>
        <button type="button" class="secondary" onClick={onClose}>
          Cancel
        </button>
        <button aria-busy={task.isBusy} disabled={task.isBusy}>
          Send
        </button>
      </footer>
    </form>
  )
}

/** `randomUUID` is missing where the page does not come over HTTPS. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const ended = new Set(['read', 'played', 'failed', 'expired', 'canceled'])

function OnItsWay({ message, onAgain, onClose }: { message: Message; onAgain: () => void; onClose: () => void }) {
  const path = `/v1/sessions/${message.sessionId}/messages/${message.id}`
  const current = useLoad(path, (signal) => request<Message>('GET', path, { signal }), 3_000)
  useSessionEvents((event) => {
    const changed = event === 'gap' ? undefined : event.data.message
    if (changed?.id === message.id) current.patch((before) => newer(before, changed))
  })
  const shown = current.data ?? message
  const status = messageWords[shown.status]
  return (
    <>
      <Quote text={shown.text?.body} />
      <p role="status">
        <Badge tone={status.tone}>{status.label}</Badge> {ended.has(shown.status) ? '' : sentences[shown.status]}
      </p>
      {shown.error && (
        <p class="problem" role="alert">
          {shown.error.detail} <code>{shown.error.code}</code>
        </p>
      )}
      <Held message={shown} />
      <TimeLine message={shown} />
      <footer>
        <button type="button" class="secondary" onClick={onAgain}>
          Send another
        </button>
        <button type="button" onClick={onClose}>
          Done
        </button>
      </footer>
    </>
  )
}

const sentences: Partial<Record<Message['status'], string>> = {
  queued: 'It waits for its turn.',
  sending: 'It is on its way to WhatsApp.',
  sent: 'WhatsApp has it. The phone has not confirmed yet.',
  delivered: 'It is on the phone, not read yet.',
}
