// One endpoint: whether it gets through, what can be done with it, and its deliveries.
import { useState } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { Endpoint, TestResult } from '../../api/resources.ts'
import { useTask } from '../../api/use-task.ts'
import { Badge } from '../../parts/badge.tsx'
import { Confirm, Dialog } from '../../parts/dialog.tsx'
import { notify } from '../../parts/notice.tsx'
import { AnswerText } from '../../parts/quoted.tsx'
import { Secret } from '../../parts/secret.tsx'
import { Problem } from '../../parts/states.tsx'
import { Ago, Ahead } from '../../parts/time.tsx'
import { plural, shortDuration, type Tone } from '../../parts/words.ts'
import { answerOf, Deliveries } from './deliveries.tsx'
import { ReplayDialog } from './replay-dialog.tsx'

interface EndpointCardProps {
  path: string
  endpoint: Endpoint
  onChanged: () => void
}

type Open = 'delete' | 'rotate' | 'replay' | null

export function EndpointCard({ path, endpoint, onChanged }: EndpointCardProps) {
  const [open, setOpen] = useState<Open>(null)
  const [secret, setSecret] = useState<string>()
  const [tested, setTested] = useState<TestResult>()
  const test = useTask(async () => {
    setTested(undefined)
    setTested(await request<TestResult>('POST', `${path}/test`, { body: {} }))
  })
  const toggle = useTask(async () => {
    await request('PATCH', path, { body: { enabled: !endpoint.enabled } })
    onChanged()
  })
  const close = () => setOpen(null)
  const state = stateOf(endpoint)
  return (
    <article class="panel endpoint">
      <header>
        <h3>{endpoint.url}</h3>
        <Badge tone={state.tone}>{state.label}</Badge>
      </header>
      <StateLine endpoint={endpoint} />
      <p class="events">
        {endpoint.events.map((name) => (
          <code key={name}>{name}</code>
        ))}
      </p>
      <div class="buttons">
        <button type="button" class="secondary" aria-busy={test.isBusy} onClick={() => void test.run()}>
          Send a test event
        </button>
        <button type="button" class="secondary" onClick={() => setOpen('replay')}>
          Replay…
        </button>
        <button type="button" class="secondary" aria-busy={toggle.isBusy} onClick={() => void toggle.run()}>
          {endpoint.enabled ? 'Disable' : 'Enable'}
        </button>
        <button type="button" class="secondary" onClick={() => setOpen('rotate')}>
          Renew secret…
        </button>
        <button type="button" class="secondary" onClick={() => setOpen('delete')}>
          Delete…
        </button>
      </div>
      <Problem fault={test.fault ?? toggle.fault} />
      <div role="status">{tested && <Tested result={tested} />}</div>
      <Deliveries path={path} />
      {open === 'replay' && <ReplayDialog path={path} onClose={close} />}
      {open === 'delete' && (
        <Confirm
          title="Delete this endpoint?"
          action="Delete"
          onClose={close}
          onConfirm={async () => {
            await request('DELETE', path)
            notify('Endpoint deleted')
            onChanged()
          }}
        >
          <p>Its deliveries go with it, those that wait to be tried again too.</p>
        </Confirm>
      )}
      {open === 'rotate' && (
        <Confirm
          title="Renew the signing secret?"
          action="Renew"
          onClose={close}
          onConfirm={async () => {
            const renewed = await request<{ secret: string }>('POST', `${path}/rotate-secret`, { body: {} })
            setSecret(renewed.secret)
            onChanged()
          }}
        >
          <p>For 24 hours deliveries carry the signatures of both secrets, so that your receiver can change over.</p>
        </Confirm>
      )}
      {secret !== undefined && (
        <Dialog title="The new secret" onClose={() => setSecret(undefined)}>
          <p>It is shown only once. The old one works for another 24 hours.</p>
          <Secret label="Signing secret" value={secret} />
          <footer>
            <button type="button" onClick={() => setSecret(undefined)}>
              Done
            </button>
          </footer>
        </Dialog>
      )}
    </article>
  )
}

function Tested({ result }: { result: TestResult }) {
  return (
    <div class={`tested ${result.succeeded ? 'good' : 'bad'}`}>
      <p>
        <Badge tone={result.succeeded ? 'good' : 'bad'}>
          {result.succeeded ? 'The test event arrived' : 'The test event failed'}
        </Badge>{' '}
        <span class="quiet">
          {answerOf(result)}, {shortDuration(result.durationMs)}
        </span>
      </p>
      {result.answer && <AnswerText text={result.answer} />}
    </div>
  )
}

function stateOf({ enabled, breaker, failingSince }: Endpoint): { label: string; tone: Tone } {
  if (!enabled) return { label: 'Disabled', tone: 'quiet' }
  if (breaker && breaker.state !== 'closed') return { label: 'Paused by failures', tone: 'bad' }
  if (failingSince !== null) return { label: 'Failing', tone: 'warn' }
  return { label: 'Working', tone: 'good' }
}

const disabledSentences: Record<string, string> = {
  gone: 'It answered 410, which means that it wants no more events.',
  failing_for_5_days: 'It has done nothing but fail for five days.',
  requested: 'It was disabled by hand.',
}

function StateLine({ endpoint }: { endpoint: Endpoint }) {
  const { enabled, disabledReason, breaker, failingSince, lastSuccessAt, previousSecretUntil } = endpoint
  return (
    <p class="quiet">
      {!enabled && disabledReason !== null && <>{disabledSentences[disabledReason] ?? disabledReason.replaceAll('_', ' ')} </>}
      {failingSince !== null && (
        <>
          Failing since <Ago at={failingSince} />
          {breaker && breaker.consecutiveFailureCount > 0 && <>, {plural(breaker.consecutiveFailureCount, 'time')} in a row</>}
          {breaker?.openUntil && (
            <>
              , next try <Ahead at={breaker.openUntil} />
            </>
          )}
          .{' '}
        </>
      )}
      Last success: <Ago at={lastSuccessAt} never="none yet" />.
      {previousSecretUntil && (
        <>
          {' '}
          The old secret ends <Ahead at={previousSecretUntil} />.
        </>
      )}
    </p>
  )
}
