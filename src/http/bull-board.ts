// Bull Board under /queues: the fixed queues and the deepest of the send queues, to look at and to retry, nothing else.
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import type { AppViewRoute, BeforeHook } from '@bull-board/api/typings/app'
import { ExpressAdapter } from '@bull-board/express'
import type { RequestHandler } from 'express'
import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { sendQueueName } from '../messages/send-queue.ts'
import type { Log } from '../platform/log.ts'
import { createQueue, type Queue } from '../platform/queue.ts'
import { tickQueueName } from '../platform/tick.ts'
import type { Store } from '../store/store.ts'
import { deadLetterQueueName } from '../webhooks/dead-letter-queue.ts'
import { firstAttemptQueueName, replayQueueName, retryQueueName } from '../webhooks/delivery-queue.ts'

export const boardPath = '/queues'
const fixedQueues = [firstAttemptQueueName, retryQueueName, replayQueueName, deadLetterQueueName, tickQueueName]
const maxSendQueues = 50
const refreshMs = 2_000
const retryRoutes = new Set(['/api/queues/:queueName/:jobId/retry', '/api/queues/:queueName/retry/:queueStatus'])

interface BoardDeps {
  redis: Redis
  prefix: string
  store: Pick<Store, 'messages'>
  log: Log
}

export interface Board {
  router: RequestHandler
  close(): Promise<void>
}

/** The page comes without its link to another host's fonts; the system's own do. */
class LocalBoardAdapter extends ExpressAdapter {
  override setEntryRoute(entry: AppViewRoute): this {
    this.app.get(entry.route, (_req, res, next) => {
      const { name, params } = entry.handler({ basePath: this.basePath, uiConfig: this.uiConfig })
      res.render(name, params, (error: Error | null, html?: string) => {
        if (error) return next(error)
        return res.send((html ?? '').replace(/<link[^>]+https?:\/\/[^>]*>/g, ''))
      })
    })
    return this
  }
}

const onlyRetry: BeforeHook = ({ method, route }) => {
  if (method === 'get' || retryRoutes.has(route)) return { allow: true }
  return { allow: false, status: 403, message: 'Here jobs can be looked at and retried, nothing else.' }
}

export function createBoard(deps: BoardDeps): Board {
  const { redis, prefix } = deps
  const fixed = fixedQueues.map((name) => createQueue(name, redis, prefix))
  const fixedAdapters = fixed.map((queue) => new BullMQAdapter(queue, { allowRetries: true }))
  const sendQueues = new LRUCache<string, Queue<unknown>>({
    max: maxSendQueues * 2,
    dispose: (queue) => void queue.close().catch(() => undefined),
  })
  const serverAdapter = new LocalBoardAdapter()
  serverAdapter.setBasePath(boardPath)
  const { replaceQueues } = createBullBoard({
    queues: fixedAdapters,
    serverAdapter,
    options: {
      uiConfig: { boardTitle: 'Ujumbe queues', hideDocsLink: true, pollingInterval: { showSetting: true } },
      handlerHooks: { before: onlyRetry },
    },
  })

  let refreshedAt = -Infinity
  const refresh = async () => {
    if (performance.now() - refreshedAt < refreshMs) return
    refreshedAt = performance.now()
    const sessionIds = await deps.store.messages.listDeepestQueues(maxSendQueues)
    const adapters = sessionIds.map((sessionId) => {
      const name = sendQueueName(sessionId)
      const queue = sendQueues.get(name) ?? createQueue<unknown>(name, redis, prefix)
      sendQueues.set(name, queue)
      return new BullMQAdapter(queue, { readOnlyMode: true })
    })
    replaceQueues([...fixedAdapters, ...adapters])
  }
  const board = serverAdapter.getRouter() as RequestHandler
  return {
    router: (req, res, next) => {
      const refreshed = req.path.startsWith('/api/') ? refresh() : Promise.resolve()
      refreshed.catch((err: unknown) => deps.log.debug({ err }, 'board.refresh_failed')).then(() => board(req, res, next), next)
    },
    close: async () => {
      sendQueues.clear()
      await Promise.all(fixed.map((queue) => queue.close()))
    },
  }
}
