// Processes of a run end with it, also when it is broken off.
const pids = new Set<number>()

process.on('exit', endLeftovers)

export function endLeftovers(): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // it has ended already
    }
  }
}

/** Returns the way to say that it has ended by itself, after which its id may be another's. */
export function endsWithUs(pid: number): () => void {
  pids.add(pid)
  return () => void pids.delete(pid)
}
