// Pairing: a QR code that renews itself, or a code to type on the phone; and the way back in when a session has stopped.
import { useEffect, useState } from 'preact/hooks'
import { toString as drawQr } from 'qrcode'
import { isVisible } from '../../api/is-visible.ts'
import { Fault, request } from '../../api/request.ts'
import type { Session } from '../../api/resources.ts'
import { useTask } from '../../api/use-task.ts'
import { now } from '../../parts/clock.ts'
import { CopyButton } from '../../parts/secret.tsx'
import { Problem } from '../../parts/states.tsx'
import { ahead } from '../../parts/words.ts'
import type { TabProps } from './session-page.tsx'

export function PairingPanel({ session, onChanged }: TabProps) {
  const path = `/v1/sessions/${session.id}`
  const connect = useTask(async () => onChanged(await request<Session>('POST', `${path}/connect`, { body: {} })))
  if (session.status === 'disconnected' || session.status === 'logged_out') {
    const isPairedStill = session.status === 'disconnected' && session.phoneNumber !== null
    return (
      <section class="panel stopped" aria-labelledby="stopped-title">
        <h2 id="stopped-title">{isPairedStill ? 'This session is not connected' : 'This session must be paired'}</h2>
        <p>
          {isPairedStill ? 'Its pairing is kept: connecting needs no phone.' : 'Start, then scan the QR code with the phone.'}
        </p>
        <Problem fault={connect.fault} />
        <button type="button" aria-busy={connect.isBusy} disabled={connect.isBusy} onClick={() => void connect.run()}>
          {isPairedStill ? 'Connect' : 'Start pairing'}
        </button>
      </section>
    )
  }
  return (
    <section class="panel pairing" aria-labelledby="pairing-title">
      <h2 id="pairing-title">Link the phone</h2>
      <div class="ways">
        <div>
          <ol>
            <li>Open WhatsApp on the phone.</li>
            <li>
              Go to <strong>Settings → Linked devices → Link a device</strong>.
            </li>
            <li>Point the phone at this code.</li>
          </ol>
          <ByCode path={path} />
        </div>
        <QrCode path={path} />
      </div>
    </section>
  )
}

interface Shown {
  picture: string
  text: string
}

function QrCode({ path }: { path: string }) {
  const [shown, setShown] = useState<Shown>()
  const [fault, setFault] = useState<Fault>()
  const isSeen = isVisible.value
  useEffect(() => {
    if (!isSeen) return
    const ended = new AbortController()
    void renew(`${path}/qr`, ended.signal, (next, wrong) => {
      setShown(next)
      setFault(wrong)
    })
    return () => ended.abort()
  }, [path, isSeen])
  return (
    <figure class="qr">
      {shown ? (
        <img src={shown.picture} alt="QR code that links this session to a phone" width="264" height="264" />
      ) : (
        <div class="blank" aria-busy={!fault}>
          {fault ? fault.message : 'Asking WhatsApp for a code…'}
        </div>
      )}
      <figcaption>
        <span>Renews by itself</span>
        {shown && <CopyButton text={shown.text} what="the code as text" />}
      </figcaption>
    </figure>
  )
}

/** The clock of this machine may be wrong, and what is left of `expiresAt` with it: the code is asked for again after so long. */
const leastMs = 1_000
const mostMs = 5_000
/** Where the API asks for more patience. */
const mostPatienceMs = 60_000
/** While the API does not answer, the code on the screen is likely to be good for so long. */
const keepMs = 15_000

/** Shows one code after the other until the signal aborts or the session is paired; the page learns that by itself. */
async function renew(
  path: string,
  signal: AbortSignal,
  show: (shown: Shown | undefined, fault: Fault | undefined) => void,
): Promise<void> {
  let shown: Shown | undefined
  let shownAt = -Infinity
  while (!signal.aborted) {
    let waitMs: number
    try {
      const { qr, expiresAt } = await request<{ qr: string; expiresAt: string }>('GET', path, { signal })
      if (shown?.text !== qr) shown = { picture: `data:image/svg+xml,${encodeURIComponent(await drawQr(qr))}`, text: qr }
      shownAt = performance.now()
      show(shown, undefined)
      waitMs = within(Date.parse(expiresAt) - Date.now(), mostMs)
    } catch (error) {
      if (signal.aborted) return
      const fault = error instanceof Fault ? error : new Fault('refused', 'The code cannot be shown.')
      if (fault.code === 'session_already_paired') return
      const isWaiting = fault.code === 'qr_not_ready'
      waitMs = within(fault.retryAfterMs, mostPatienceMs)
      if (isWaiting || performance.now() + waitMs - shownAt > keepMs) show(undefined, isWaiting ? undefined : fault)
    }
    await new Promise((done) => setTimeout(done, waitMs))
  }
}

function within(waitMs: number, limitMs: number): number {
  return Math.min(Math.max(waitMs || 0, leastMs), limitMs)
}

function ByCode({ path }: { path: string }) {
  const [phoneNumber, setPhoneNumber] = useState('')
  const [code, setCode] = useState<{ code: string; expiresAt: string }>()
  const task = useTask(async () => {
    const number = phoneNumber.trim()
    setCode(await request('POST', `${path}/pairing-code`, { body: number === '' ? {} : { phoneNumber: number } }))
  })
  const isOver = code !== undefined && Date.parse(code.expiresAt) <= now.value
  return (
    <form
      class="by-code"
      onSubmit={(event) => {
        event.preventDefault()
        void task.run()
      }}
    >
      <h3>No camera at hand?</h3>
      <label>
        The phone’s number
        <span class="joined">
          <input
            type="tel"
            autoComplete="off"
            placeholder="+254 712 345 678"
            maxLength={100}
            value={phoneNumber}
            onInput={(event) => setPhoneNumber(event.currentTarget.value)}
          />
          <button class="secondary" aria-busy={task.isBusy} disabled={task.isBusy}>
            Get a code
          </button>
        </span>
      </label>
      <Problem fault={task.fault} />
      <div role="status">
        {code && !isOver && (
          <div class="code">
            <output aria-label="Pairing code">{code.code}</output>
            <CopyButton text={code.code} what="the pairing code" />
            <p class="help">
              On the phone choose <strong>Link with phone number instead</strong> and type it. It ends{' '}
              {ahead(code.expiresAt, now.value)}.
            </p>
          </div>
        )}
        {isOver && <p class="help">That code has run out. Get a new one.</p>}
      </div>
    </form>
  )
}
