// The sandbox: a WhatsApp server with simulated phones, on one port: `/ws/chat` for clients, everything else its control API.
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { WebSocketServer } from 'ws'
import type { Log } from '../platform/log.ts'
import { createControlHandler } from './control/control-handler.ts'
import { createNetwork } from './server/network.ts'
import { accountsPart } from './server/saved-accounts.ts'
import { SandboxServer } from './server/sandbox-server.ts'
import { SnapshotFile } from './server/snapshot-file.ts'
import { loadServerIdentity } from './wire/server-identity.ts'

const socketPath = '/ws/chat'
const maxMessageBytes = 17 * 1024 * 1024

interface SandboxOptions {
  /** 0 for any free one. */
  port: number
  host?: string
  /** Where keys, accounts and what waits for devices are kept; without it nothing outlives the process. */
  dataDir?: string
  /** `host:port` that clients are given for media. */
  mediaHost?: string
  log: Log
}

export interface Sandbox {
  readonly port: number
  /** `ws://…/ws/chat` */
  readonly url: string
  /** `http://…`, where the control API is. */
  readonly controlUrl: string
  readonly server: Server
  close(): Promise<void>
}

/** @throws Error when the port is taken, or the data directory cannot be used. */
export async function startSandbox({ port, host = '127.0.0.1', dataDir, mediaHost, log }: SandboxOptions): Promise<Sandbox> {
  const identity = await loadServerIdentity(dataDir)
  const file = new SnapshotFile(dataDir === undefined ? undefined : join(dataDir, 'sandbox.json'), log)
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const address = `${host}:${(server.address() as AddressInfo).port}`
  const sandbox = new SandboxServer({ identity, mediaHost: mediaHost ?? address, log, changed: () => file.changed() })
  file.keep(accountsPart(sandbox.ctx))
  const { faults, stats, frames } = sandbox.ctx
  const network = createNetwork(sandbox, file)
  server.on('request', createControlHandler({ network, faults, stats, frames, noiseRoot: identity.rootPublicKey, log }))
  acceptSockets(server, sandbox)
  return {
    port: (server.address() as AddressInfo).port,
    url: `ws://${address}${socketPath}`,
    controlUrl: `http://${address}`,
    server,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      sandbox.stop()
      server.closeAllConnections()
      await closed
      await file.stop()
    },
  }
}

function acceptSockets(server: Server, sandbox: SandboxServer): void {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: maxMessageBytes })
  const { faults } = sandbox.ctx
  server.on('upgrade', (request, stream, head) => {
    const socket = stream as Socket
    // Node's own listener is gone by now: without one a reset during the upgrade would end the process.
    socket.on('error', () => socket.destroy())
    if (faults.take('refuse_connections', undefined)) {
      socket.resetAndDestroy()
    } else if (request.url?.split('?', 1)[0] === socketPath) {
      socket.setNoDelay(true)
      sockets.handleUpgrade(request, socket, head, (webSocket) => sandbox.accept(webSocket, socket))
    } else {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    }
  })
}
