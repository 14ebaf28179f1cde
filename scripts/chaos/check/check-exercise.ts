// Whether the run did what it was for: sessions that WhatsApp ended, faults that hit something, paths that were really taken.
import type { History, Violation } from './history.ts'

export function checkExercise({ endings, required, counts }: Pick<History, 'endings' | 'required' | 'counts'>): Violation[] {
  const ended = endings.flatMap(({ sessionId, kind, problem }) =>
    problem === null ? [] : [{ rule: 'ended_otherwise' as const, sessionId, text: `${kind}: ${problem}` }],
  )
  const missing = required.filter((name) => (counts[name] ?? 0) === 0)
  return [...ended, ...missing.map((name) => ({ rule: 'not_exercised' as const, text: `${name} never happened` }))]
}
