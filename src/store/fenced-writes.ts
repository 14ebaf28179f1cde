// Refusing what a holder writes whose session is another's by now.
import { AppError } from '../platform/errors.ts'
import { counter } from '../platform/metrics.ts'

const refusedCount = counter(
  'ujumbe_fenced_writes_total',
  'Writes of former holders that the store refused for their stale epoch.',
)

/** To be thrown; counts. */
export function staleEpoch(): AppError {
  refusedCount.inc()
  return new AppError('stale_epoch')
}
