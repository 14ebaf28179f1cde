// Sending past events to an endpoint once more.
import { request } from '../../api/request.ts'
import { useTask } from '../../api/use-task.ts'
import { Dialog } from '../../parts/dialog.tsx'
import { namesOf } from '../../parts/form.ts'
import { notify } from '../../parts/notice.tsx'
import { Problem } from '../../parts/states.tsx'

const spans = [
  ['3600000', 'the last hour'],
  ['86400000', 'the last day'],
  ['604800000', 'the last 7 days'],
] as const

export function ReplayDialog({ path, onClose }: { path: string; onClose: () => void }) {
  const task = useTask(async (form: HTMLFormElement) => {
    const fields = new FormData(form)
    const types = namesOf(fields, 'types')
    const since = new Date(Date.now() - Number(fields.get('span'))).toISOString()
    await request('POST', `${path}/replay`, { body: { since, ...(types.length > 0 ? { types } : {}) } })
    notify('The events are on their way again')
    onClose()
  })
  return (
    <Dialog title="Replay events" onClose={onClose}>
      <p>They come with the ids they had, so a receiver that knows them can skip them. New events are not delayed.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void task.run(event.currentTarget)
        }}
      >
        <label>
          Events of
          <select name="span">
            {spans.map(([ms, label]) => (
              <option key={ms} value={ms}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <label>
          Only these types <span class="optional">optional</span>
          <input name="types" placeholder="message.received" autoComplete="off" />
        </label>
        <Problem fault={task.fault} />
        <footer>
          <button type="button" class="secondary" onClick={onClose}>
            Cancel
          </button>
          <button aria-busy={task.isBusy} disabled={task.isBusy}>
            Replay
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
