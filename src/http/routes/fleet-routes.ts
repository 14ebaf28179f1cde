// The workers that hold the sessions, for those who look after the fleet.
import { z } from 'zod'
import { readFleet } from '../../fleet/read-fleet.ts'
import { isoTime } from '../../platform/clock.ts'
import { pingRedis } from '../../platform/redis.ts'
import { defineRoute, type Route } from '../route.ts'
import { timeField } from '../schemas/field-schemas.ts'

const countField = z.int().min(0)

const workerSchema = z
  .object({
    incarnation: z.string().meta({ description: 'Never used twice: host, process id, start time, random part.' }),
    host: z.string().meta({ description: '`UJUMBE_HOST_ID` of its machine.' }),
    pid: countField,
    sessions: countField.meta({ description: 'How many it holds.' }),
    capacity: countField,
    heartbeatAgeSeconds: z.number().min(0),
    draining: z.boolean().meta({ description: 'It stops: it gives its sessions away and takes none.' }),
    version: z.string(),
    startedAt: timeField,
    takeovers: countField.meta({ description: 'Sessions it took over from workers that died.' }),
  })
  .meta({ id: 'Worker' })

const fleetSchema = z
  .object({
    workers: z.array(workerSchema),
    totals: z.object({
      sessions: countField.meta({ description: 'Held by living workers.' }),
      capacity: countField,
      unheld: countField.meta({ description: 'A worker should hold them, and none does.' }),
      takeovers: countField.meta({ description: 'Also of workers that have ended.' }),
    }),
  })
  .meta({ id: 'Fleet' })

export const fleetRoutes: Route[] = [
  defineRoute({
    id: 'getFleet',
    method: 'get',
    path: '/v1/fleet',
    tag: 'Fleet',
    summary: 'The session workers that live, what they hold, and what nobody holds',
    access: 'admin',
    target: 'none',
    answers: { 200: { description: 'The fleet.', schema: fleetSchema } },
    errors: ['redis_unavailable'],
    async handle({ redis, prefix, store }) {
      await pingRedis(redis)
      const { workers, totals } = await readFleet({ redis, prefix, sessions: store.sessions })
      return {
        status: 200,
        body: { workers: workers.map((worker) => ({ ...worker, startedAt: isoTime(worker.startedAt) })), totals },
      }
    },
  }),
]
