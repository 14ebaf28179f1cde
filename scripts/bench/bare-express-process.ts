// A bare Express with one `queue.add` per request: parses JSON, knows nothing, keeps nothing but the job.
import express from 'express'
import { Queue } from 'bullmq'

const app = express()
const queue = new Queue('bare', {
  connection: { path: new URL(process.env['REDIS_URL'] ?? '').pathname, enableOfflineQueue: true },
  defaultJobOptions: { removeOnComplete: true },
})
app.use(express.json())
app.post('/messages', (request, response, next) => {
  queue.add('send', request.body).then(({ id }) => response.status(202).json({ id }), next)
})
app.listen(Number(process.env['PORT']), '127.0.0.1', () => process.send?.('ready'))
process.on('SIGTERM', () => process.exit(0))
