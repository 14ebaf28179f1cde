// Carries faults out on the sockets that are open.
import { streamEnd, type Connection } from './connection.ts'
import type { Faults, FaultTarget, InstantFault } from './faults.ts'

export function faultTarget(faults: Faults, connections: ReadonlySet<Connection>): FaultTarget {
  const concerned = (phoneNumbers: ReadonlySet<string> | undefined) =>
    [...connections].filter(
      ({ phoneNumber }) => phoneNumbers === undefined || (phoneNumber !== undefined && phoneNumbers.has(phoneNumber)),
    )
  return {
    strike: (fault, phoneNumbers) => {
      const struck = concerned(phoneNumbers)
      for (const connection of struck) strike(connection, fault)
      return struck.length
    },
    reconsider: (fault, phoneNumbers) => {
      for (const connection of connections) connection.stall(faults.take('stall', connection.phoneNumber) !== undefined)
      return fault ? concerned(phoneNumbers).length : 0
    },
  }
}

function strike(connection: Connection, fault: InstantFault): void {
  switch (fault.kind) {
    case 'close':
      connection.close()
      break
    case 'reset':
      connection.reset()
      break
    case 'conflict':
      connection.end(streamEnd.replaced())
      break
    case 'stream_error':
      connection.end(streamEnd.code(fault.code))
      break
  }
}
