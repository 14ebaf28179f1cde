// The table of sessions: a whole line leads to its session; many lines are shown a hundred at a time.
import { useState } from 'preact/hooks'
import type { SessionLine } from '../../api/resources.ts'
import { Badge, Score } from '../../parts/badge.tsx'
import { Ago } from '../../parts/time.tsx'
import { count, phone, statusOf, troubleOf } from '../../parts/words.ts'

const step = 100

export function SessionTable({ lines }: { lines: SessionLine[] }) {
  const [limit, setLimit] = useState(step)
  const shown = lines.slice(0, limit)
  return (
    <>
      {/* The roles stay when a narrow screen lays the cells out as cards. */}
      <table class="sessions" role="table">
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">
              Health
            </th>
            <th role="columnheader" scope="col">
              Session
            </th>
            <th role="columnheader" scope="col">
              Status
            </th>
            <th role="columnheader" scope="col">
              Why
            </th>
            <th role="columnheader" scope="col" class="number">
              Queue
            </th>
            <th role="columnheader" scope="col" class="number">
              Last event
            </th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          {shown.map((line) => (
            <Line key={line.id} line={line} />
          ))}
        </tbody>
      </table>
      {lines.length > limit && (
        <p class="more">
          <button type="button" class="secondary" onClick={() => setLimit(limit + step)}>
            Show {Math.min(step, lines.length - limit)} more of {count(lines.length - limit)}
          </button>
        </p>
      )}
    </>
  )
}

function Line({ line }: { line: SessionLine }) {
  const status = statusOf(line)
  const why = troubleOf(line) ?? line.health?.reason?.text ?? null
  const number = phone(line.phoneNumber)
  return (
    <tr role="row">
      <td role="cell" class="health">
        <Score health={line.health} />
      </td>
      <td role="cell" class="name">
        <a href={`/sessions/${line.id}`}>{line.displayName}</a>
        <span class="quiet">{number ?? 'no number yet'}</span>
      </td>
      <td role="cell" class="status">
        <Badge tone={status.tone}>{status.label}</Badge>
      </td>
      <td role="cell" class="why">
        {why}
      </td>
      <td role="cell" class="number queue" data-label="Queue">
        {line.queueDepth === 0 ? <span class="quiet">0</span> : count(line.queueDepth)}
      </td>
      <td role="cell" class="number last" data-label="Last event">
        <Ago at={line.lastEventAt} />
      </td>
    </tr>
  )
}
