// Which pages of this browser may keep a stream: it has six connections to a host for all of its windows, and needs some for requests.

const mostStreams = 4

interface Notice {
  /** Of a slot. */
  id: string
  isTaken: boolean
}

const channel = new BroadcastChannel('ujumbe-streams')

/** The newest have theirs: `onLost` is called when enough others were taken after this one. Returns how to give it back. */
export function takeSlot(onLost: () => void): () => void {
  const id = `${Date.now()}-${Math.random()}`
  const later = new Set<string>()
  const hear = ({ data }: MessageEvent<Notice>) => {
    if (data.isTaken) later.add(data.id)
    else later.delete(data.id)
    if (later.size >= mostStreams) onLost()
  }
  const tell = (isTaken: boolean) => channel.postMessage({ id, isTaken } satisfies Notice)
  const release = () => {
    channel.removeEventListener('message', hear)
    removeEventListener('pagehide', release)
    tell(false)
  }
  channel.addEventListener('message', hear)
  addEventListener('pagehide', release)
  tell(true)
  return release
}
