// One MongoDB for the whole test run, the first to be had of: MONGODB_TEST_URL, a mongod, SecantusDB; each test takes a database of its own.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { createConnection } from 'mongoose'
import { waitFor } from './wait.ts'

const secantus = 'SecantusDB==0.7.0b3'
const startDeadlineMs = 60_000

let stop: (() => Promise<void>) | undefined

/** Sets UJUMBE_TEST_MONGODB for the tests; says so on a line of its own where there is no server. */
export async function setup(): Promise<void> {
  const found = await provideMongo()
  if (typeof found === 'string') {
    console.warn(`\nSKIPPED: tests of the MongoDB store (${found})\n`)
    return
  }
  process.env['UJUMBE_TEST_MONGODB'] = found.url
  stop = found.stop
}

export async function teardown(): Promise<void> {
  await stop?.()
}

interface Server {
  url: string
  stop: () => Promise<void>
}

export interface OwnServer extends Server {
  /** SIGSTOP and SIGCONT. */
  pause(): void
  resume(): void
}

/** A server, or the reason why there is none. */
async function provideMongo(): Promise<Server | string> {
  const given = process.env['MONGODB_TEST_URL']
  return given ? { url: given, stop: () => Promise.resolve() } : startOwnMongo()
}

/** A server that a test may break, with test commands; `standalone` without transactions. Or the reason why there is none. */
export async function startOwnMongo(options: { standalone?: boolean } = {}): Promise<OwnServer | string> {
  const mongod = process.env['MONGOMS_SYSTEM_BINARY'] ?? (await onPath('mongod'))
  if (mongod) return startMongod(mongod, options.standalone ?? false)
  const python = await onPath('python3')
  if (!python) return 'no MONGODB_TEST_URL, no mongod and no python3 to install SecantusDB with'
  const program = await installSecantus(python)
  return program.startsWith('!') ? program.slice(1) : startSecantus(program, options.standalone ?? false)
}

async function onPath(name: string): Promise<string | undefined> {
  for (const dir of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(dir, name)
    if (dir !== '' && (await exists(path))) return path
  }
  return undefined
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** Made whole under another name and then renamed, so that two runs at once cannot spoil it. Starts with '!' when it failed. */
async function installSecantus(python: string): Promise<string> {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const dir = join(cache, 'ujumbe', secantus.replaceAll('=', '-'))
  const program = join(dir, 'bin', 'secantusd-py')
  if (await exists(program)) return program
  const lock = `${dir}.lock`
  await mkdir(join(cache, 'ujumbe'), { recursive: true })
  const isOurs = await mkdir(lock).then(
    () => true,
    () => false,
  )
  if (!isOurs) {
    await waitFor('another run to install SecantusDB', async () => !(await exists(lock)), 300_000, 500).catch(async () => {
      // Left by a run that was killed: the next one installs.
      await rm(lock, { recursive: true, force: true })
    })
    return (await exists(program)) ? program : `!${secantus} could not be installed: another run was at it for five minutes`
  }
  try {
    await rm(dir, { recursive: true, force: true })
    for (const args of [
      ['-m', 'venv', dir],
      [join(dir, 'bin', 'pip'), 'install', '--quiet', '--disable-pip-version-check', secantus],
    ]) {
      const [command = '', ...rest] = args[0] === '-m' ? [python, ...args] : args
      const run = spawnSync(command, rest, { encoding: 'utf8', timeout: 240_000 })
      if (run.status !== 0) {
        await rename(dir, `${dir}.broken-${process.pid}`).catch(() => undefined)
        await rm(`${dir}.broken-${process.pid}`, { recursive: true, force: true })
        return `!${secantus} could not be installed: ${run.stderr.trim().split('\n').at(-1) ?? run.error?.message ?? 'no reason given'}`
      }
    }
    return program
  } finally {
    await rm(lock, { recursive: true, force: true })
  }
}

async function startSecantus(program: string, standalone: boolean): Promise<OwnServer> {
  const dir = await mkdtemp(join(tmpdir(), 'uj-mongo-'))
  const port = await freePort()
  const args = ['--host', '127.0.0.1', '--port', String(port), '--storage-path', dir, '--enable-test-commands']
  const server = spawn(program, [...args, ...(standalone ? ['--standalone'] : [])], { stdio: ['ignore', 'pipe', 'pipe'] })
  let isReady = false
  for (const stream of [server.stdout, server.stderr]) {
    createInterface({ input: stream }).on('line', (line) => (isReady ||= line.includes('secantus listening on')))
  }
  await started(server, () => isReady)
  return own(server, dir, `mongodb://127.0.0.1:${port}/`)
}

async function startMongod(program: string, standalone: boolean): Promise<OwnServer> {
  const dir = await mkdtemp(join(tmpdir(), 'uj-mongo-'))
  const port = await freePort()
  const args = ['--bind_ip', '127.0.0.1', '--port', String(port), '--dbpath', dir, '--setParameter', 'enableTestCommands=1']
  const server = spawn(program, [...args, ...(standalone ? [] : ['--replSet', 'test'])], { stdio: 'ignore' })
  const connection = createConnection(`mongodb://127.0.0.1:${port}/?directConnection=true`, { serverSelectionTimeoutMS: 500 })
  connection.on('error', () => undefined)
  const admin = async (command: Record<string, unknown>) => {
    await connection.asPromise().catch(() => connection.openUri(`mongodb://127.0.0.1:${port}/?directConnection=true`))
    return connection.db?.admin().command(command)
  }
  await started(server, () => admin({ ping: 1 }).then(Boolean, () => false))
  if (!standalone) await admin({ replSetInitiate: { _id: 'test', members: [{ _id: 0, host: `127.0.0.1:${port}` }] } })
  await started(server, () => admin({ hello: 1 }).then((answer) => answer?.['isWritablePrimary'] === true))
  await connection.close()
  return own(server, dir, `mongodb://127.0.0.1:${port}/${standalone ? '' : '?replicaSet=test'}`)
}

function own(server: ChildProcess, dir: string, url: string): OwnServer {
  // A run that ends before its teardown leaves no server behind.
  process.once('exit', () => server.kill('SIGKILL'))
  return {
    url,
    pause: () => void server.kill('SIGSTOP'),
    resume: () => void server.kill('SIGCONT'),
    stop: () => end(server, dir),
  }
}

async function started(server: ChildProcess, isReady: () => boolean | Promise<boolean>): Promise<void> {
  await waitFor(
    'MongoDB to start',
    () => {
      if (server.exitCode !== null) throw new Error(`the MongoDB server ended with ${server.exitCode}`)
      return isReady()
    },
    startDeadlineMs,
    50,
  )
}

async function end(server: ChildProcess, dir: string): Promise<void> {
  if (server.exitCode === null && server.signalCode === null) {
    server.kill('SIGKILL')
    await once(server, 'exit')
  }
  await rm(dir, { recursive: true, force: true })
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}
