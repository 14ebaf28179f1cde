// What matters first: the pairing while there is none, then how well the session is and why.
import { useState } from 'preact/hooks'
import { request } from '../../api/request.ts'
import type { Health, HealthWindow } from '../../api/resources.ts'
import { useLoad } from '../../api/use-load.ts'
import { Load } from '../../parts/states.tsx'
import { HealthPanel } from './health-panel.tsx'
import { PairingPanel } from './pairing-panel.tsx'
import { useSessionEvents } from './session-events.ts'
import type { TabProps } from './session-page.tsx'

const refreshMs = 15_000
const windows: { name: HealthWindow; label: string }[] = [
  { name: '1h', label: 'Hour' },
  { name: '24h', label: 'Day' },
  { name: '7d', label: 'Week' },
]

export function OverviewTab({ session, onChanged }: TabProps) {
  const [window, setWindow] = useState<HealthWindow>('1h')
  const path = `/v1/sessions/${session.id}/health?window=${window}`
  const health = useLoad(path, (signal) => request<Health>('GET', path, { signal }), refreshMs)
  useSessionEvents((event) => {
    if (event === 'gap' || event.type === 'session.health' || event.type === 'session.status') health.reloadSoon()
  })
  const isUnpaired = session.status === 'pending' || session.status === 'pairing' || session.status === 'logged_out'
  const isStopped = session.status === 'disconnected'
  return (
    <>
      {(isUnpaired || isStopped) && <PairingPanel session={session} onChanged={onChanged} />}
      {(!isUnpaired || session.health !== null) && (
        <section aria-labelledby="health-title">
          <div class="section-head">
            <h2 id="health-title">Health</h2>
            <fieldset class="segments" aria-label="Time shown">
              {windows.map(({ name, label }) => (
                <label key={name}>
                  <input type="radio" name="window" checked={name === window} onChange={() => setWindow(name)} />
                  <span>{label}</span>
                </label>
              ))}
            </fieldset>
          </div>
          <Load of={health} what="health of this session" rows={5}>
            {(data) => <HealthPanel health={data} window={window} />}
          </Load>
        </section>
      )}
    </>
  )
}
