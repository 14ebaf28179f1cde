// What was sent to an endpoint, how it answered, and sending it once more.
import { useEffect, useState } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { Attempt, Delivery, DeliveryStatus, Page } from '../../api/resources.ts'
import { useLoad } from '../../api/use-load.ts'
import { useTask } from '../../api/use-task.ts'
import { Badge } from '../../parts/badge.tsx'
import { notify } from '../../parts/notice.tsx'
import { AnswerText } from '../../parts/quoted.tsx'
import { Load, Problem } from '../../parts/states.tsx'
import { Ago, Ahead } from '../../parts/time.tsx'
import { atDay, plural, shortDuration, type Tone } from '../../parts/words.ts'

const refreshMs = 5_000
const step = 20

const words: Record<DeliveryStatus, { label: string; tone: Tone }> = {
  pending: { label: 'Under way', tone: 'busy' },
  succeeded: { label: 'Delivered', tone: 'good' },
  failed: { label: 'Will be tried again', tone: 'warn' },
  dead: { label: 'Given up', tone: 'bad' },
}

export function Deliveries({ path }: { path: string }) {
  const [status, setStatus] = useState('')
  const [limit, setLimit] = useState(step)
  const query = `limit=${limit}${status === '' ? '' : `&status=${status}`}`
  const deliveries = useLoad(
    `${path}?${status}`,
    (signal) => request<Page<Delivery>>('GET', `${path}/deliveries?${query}`, { signal }),
    refreshMs,
  )
  useEffect(() => {
    if (limit > step) deliveries.reload()
  }, [limit])
  return (
    <section class="deliveries" aria-label="Deliveries">
      <div class="section-head">
        <h4>Deliveries</h4>
        <select aria-label="State of deliveries" value={status} onChange={(event) => setStatus(event.currentTarget.value)}>
          <option value="">Any state</option>
          {Object.entries(words).map(([name, { label }]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
      </div>
      <Load of={deliveries} what="deliveries" rows={2}>
        {({ data, nextCursor }) =>
          data.length === 0 ? (
            <p class="quiet">{status === '' ? 'Nothing was sent here yet.' : 'None in this state.'}</p>
          ) : (
            <>
              {data.map((delivery) => (
                <Line key={delivery.id} delivery={delivery} onSent={deliveries.reload} />
              ))}
              {nextCursor !== null && limit < 200 && (
                <p class="more">
                  <button type="button" class="secondary" onClick={() => setLimit(Math.min(200, limit + 60))}>
                    Show older
                  </button>
                </p>
              )}
            </>
          )
        }
      </Load>
    </section>
  )
}

function Line({ delivery, onSent }: { delivery: Delivery; onSent: () => void }) {
  const { label, tone } = words[delivery.status]
  const last = delivery.attempts.at(-1)
  const again = useTask(async () => {
    await request('POST', `/v1/deliveries/${delivery.id}/redeliver`, { body: {} })
    notify('On its way again')
    onSent()
  })
  return (
    <details class="delivery">
      <summary>
        <code>{delivery.eventType}</code>
        <span class="answer">{last ? answerOf(last) : ''}</span>
        <Badge tone={tone}>{label}</Badge>
        <span class="when">
          <Ago at={delivery.createdAt} />
        </span>
      </summary>
      <div class="inside">
        <p class="quiet">
          {plural(delivery.attemptCount, 'attempt')}
          {delivery.nextAttemptAt && (
            <>
              , the next <Ahead at={delivery.nextAttemptAt} />
            </>
          )}
          {delivery.deadReason && <>. Given up: {deadWords[delivery.deadReason] ?? delivery.deadReason.replaceAll('_', ' ')}</>}.
          Event <code>{delivery.eventId}</code>
        </p>
        {delivery.attempts.length > 0 && <Attempts attempts={delivery.attempts} />}
        <Problem fault={again.fault} />
        <p>
          <button
            type="button"
            class="secondary"
            aria-busy={again.isBusy}
            disabled={again.isBusy}
            onClick={() => void again.run()}
          >
            Redeliver
          </button>
        </p>
      </div>
    </details>
  )
}

function Attempts({ attempts }: { attempts: Attempt[] }) {
  return (
    <ol class="attempts">
      {attempts.map((attempt) => (
        <li key={attempt.at}>
          <time dateTime={attempt.at}>{atDay(attempt.at)}</time>
          <strong>{answerOf(attempt)}</strong>
          <span class="quiet">{shortDuration(attempt.durationMs)}</span>
          {attempt.answer && <AnswerText text={attempt.answer} />}
        </li>
      ))}
    </ol>
  )
}

const deadWords: Record<string, string> = {
  retries_exhausted: 'it was tried often enough',
  endpoint_disabled: 'the endpoint is disabled',
  endpoint_gone: 'the endpoint answered 410',
  redelivered: 'it was delivered anew',
}

const errorSentences: Record<string, string> = {
  timed_out: 'no answer in time',
  answer_unfinished: 'but the answer did not end',
  connect_timed_out: 'no connection in time',
  address_not_allowed: 'the address is not allowed',
  answer_not_http: 'the answer is not HTTP',
  tls_failed: 'TLS failed: check its certificate',
  request_failed: 'the request failed',
  name_not_found: 'the host name was not found',
  name_not_resolved: 'the host name could not be looked up',
}

export function answerOf({ status, error }: Pick<Attempt, 'status' | 'error'>): string {
  const sentence = error === null ? null : (errorSentences[error] ?? error.replaceAll('_', ' '))
  if (status === null) return sentence ?? 'no answer'
  return sentence === null ? `answered ${status}` : `answered ${status}, ${sentence}`
}
