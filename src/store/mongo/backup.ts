// Every document of the database into files, a line each, and back; for databases too small to deserve mongodump.
import { createReadStream, createWriteStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { createConnection, mongo, type Connection } from 'mongoose'
import { AppError } from '../../platform/errors.ts'
import { placeSteps } from '../log-page.ts'
import { placesId } from './event-places.ts'
import { createCollections } from './migrations.ts'
import { createModels } from './models.ts'
import type { MetaDoc } from './schemas.ts'

const { EJSON } = mongo.BSON
const ending = '.jsonl.gz'
const batchSize = 500

/**
 * All in one transaction, so that it is of one moment; a server gives that a minute. Returns how many documents.
 * @throws AppError `store_unavailable`, also when there are too many for a minute
 */
export async function backUpMongo(url: string, directory: string): Promise<number> {
  return withDatabase(url, async (db, connection) => {
    const session = await connection.startSession()
    let count = 0
    try {
      session.startTransaction({ readConcern: { level: 'snapshot' }, readPreference: 'primary' })
      for (const name of await namesOf(db)) {
        const documents = db.collection(name).find({}, { session })
        async function* lines() {
          for await (const document of documents) {
            count += 1
            yield `${EJSON.stringify(document, { relaxed: false })}\n`
          }
        }
        const file = createWriteStream(join(directory, `${name}${ending}`), { mode: 0o600 })
        await pipeline(Readable.from(lines()), createGzip({ level: 1 }), file)
      }
      await session.abortTransaction()
      return count
    } finally {
      await session.endSession()
    }
  })
}

/**
 * Into a database that holds nothing, unless what it holds may be dropped.
 * @throws AppError `configuration` when it holds something, `store_unavailable`
 */
export async function restoreMongo(url: string, directory: string, mayDrop: boolean): Promise<Record<string, number>> {
  return withDatabase(url, async (db, connection) => {
    const files = (await readdir(directory)).filter((name) => name.endsWith(ending))
    for (const name of await namesOf(db)) {
      if (!mayDrop && (await db.collection(name).findOne()) !== null)
        throw new AppError('configuration', `The database holds ${name} already. \`-- --replace\` drops what is there.`)
    }
    for (const name of await namesOf(db)) await db.collection(name).drop()
    // A database that says it has the present version is not looked at again; and while nothing is in them indexes cost nothing.
    await createCollections(createModels(connection))
    const counts: Record<string, number> = {}
    for (const file of files) counts[file.slice(0, -ending.length)] = await load(db, join(directory, file))
    await beginNextPart(db)
    return counts
  })
}

type Database = NonNullable<Connection['db']>

async function load(db: Database, path: string): Promise<number> {
  const name = path.slice(path.lastIndexOf('/') + 1, -ending.length)
  const lines = createInterface(createReadStream(path).pipe(createGunzip()))
  let batch: Record<string, unknown>[] = []
  let count = 0
  const flush = async () => {
    if (batch.length > 0) await db.collection(name).insertMany(batch, { writeConcern: { w: 'majority' } })
    count += batch.length
    batch = []
  }
  for await (const line of lines) {
    batch.push(EJSON.parse(line, { relaxed: false }) as Record<string, unknown>)
    if (batch.length === batchSize) await flush()
  }
  await flush()
  return count
}

/** No place of the event log is given twice, not even one that the backup does not know of. */
async function beginNextPart(db: Database): Promise<void> {
  const majority = { writeConcern: { w: 'majority' } } as const
  const next = (place: string, step: number) => ({
    $multiply: [{ $add: [{ $floor: { $divide: [{ $ifNull: [`$${place}`, 0] }, step] } }, 1] }, step],
  })
  const meta = db.collection<MetaDoc>('meta')
  await meta.updateOne({ _id: placesId }, [{ $set: { value: next('value', placeSteps.fleet) } }], { ...majority, upsert: true })
  const eventSequence = next('eventSequence', placeSteps.session)
  await db.collection('counters').updateMany({}, [{ $set: { eventSequence } }], majority)
}

async function namesOf(db: Database): Promise<string[]> {
  const found = await db.listCollections({}, { nameOnly: true }).toArray()
  return found.map(({ name }) => name).filter((name) => !name.startsWith('system.'))
}

async function withDatabase<T>(url: string, work: (db: Database, connection: Connection) => Promise<T>): Promise<T> {
  const connection = createConnection(url, { serverSelectionTimeoutMS: 5_000, autoCreate: false, autoIndex: false })
  connection.on('error', () => undefined)
  try {
    await connection.asPromise()
    if (!connection.db) throw new AppError('store_unavailable')
    return await work(connection.db, connection)
  } catch (cause) {
    throw cause instanceof AppError ? cause : new AppError('store_unavailable', (cause as Error).message, { cause })
  } finally {
    await connection.close()
  }
}
