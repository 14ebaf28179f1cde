// The sandbox's own HTTP surface: the control API and the page with the phones, for this machine only.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Log } from '../../platform/log.ts'
import type { SandboxNetwork } from '../device.ts'
import { PhoneBook } from '../phones/phone-book.ts'
import type { Faults } from '../server/faults.ts'
import type { FrameLog } from '../server/frame-log.ts'
import type { Stats } from '../server/stats.ts'
import { messageRoutes } from './messages.ts'
import { operationRoutes } from './operations.ts'
import { phoneRoutes } from './phones.ts'
import { ControlError, writeProblem } from './problem.ts'
import { requireJson, requireLocal } from './request.ts'
import { route, writeReply } from './router.ts'
import { servePage } from './serve-page.ts'

export interface ControlDeps {
  network: SandboxNetwork
  faults: Faults
  stats: Stats
  frames: FrameLog
  /** The public root of the certificate chain, 32 bytes. */
  noiseRoot: Uint8Array
  log: Log
}

export function createControlHandler(deps: ControlDeps): (request: IncomingMessage, response: ServerResponse) => void {
  const { network, faults, stats, log } = deps
  const phones = new PhoneBook({ network, faults, stats, log })
  const routes = [...phoneRoutes({ phones, network }), ...messageRoutes(phones), ...operationRoutes({ ...deps, phones })]

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    requireLocal(request)
    requireJson(request)
    const target = request.url ?? '/'
    if (!target.startsWith('/') || !URL.canParse(`http://sandbox${target}`)) throw new ControlError('not_found')
    const url = new URL(`http://sandbox${target}`)
    if (await servePage(request, response, url.pathname)) return
    writeReply(response, await route(routes, request, url))
  }
  return (request, response) => {
    response.setHeader('x-content-type-options', 'nosniff')
    answer(request, response).catch((error: unknown) => writeProblem(response, error, log))
  }
}
