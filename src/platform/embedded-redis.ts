// The embedded Redis: finds a server program, or unpacks Debian's package without touching the system, and says how to run it.
import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { arch } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { AppError } from './errors.ts'

const run = promisify(execFile)

export interface RedisProgram {
  command: string
  /** What the program needs in its environment: the way to its libraries, when it was unpacked. */
  env: Record<string, string>
}

/** Looks on PATH, then for a program unpacked below `cacheDir` before. No I/O but stat calls. */
export function findRedisProgram(cacheDir: string, path: string): RedisProgram | undefined {
  for (const name of ['redis-server', 'valkey-server']) {
    const command = findOnPath(name, path)
    if (command) return { command, env: {} }
  }
  const root = join(cacheDir, 'redis-program')
  const command = join(root, 'usr', 'bin', 'redis-server')
  return isExecutable(command) ? { command, env: { LD_LIBRARY_PATH: libraryDirs(root).join(delimiter) } } : undefined
}

/**
 * Finds a program or, on Debian and Ubuntu, downloads and unpacks one into `cacheDir`.
 * @throws AppError `configuration` naming the three ways to get Redis
 */
export async function provideRedisProgram(cacheDir: string, path: string): Promise<RedisProgram> {
  const found = findRedisProgram(cacheDir, path)
  if (found) return found
  try {
    await unpackDebianPackage(cacheDir)
    const unpacked = findRedisProgram(cacheDir, path)
    if (unpacked) {
      await run(unpacked.command, ['--version'], { env: { ...unpacked.env }, timeout: 10_000 })
      return unpacked
    }
  } catch (cause) {
    throw new AppError('configuration', howToGetRedis, { cause })
  }
  throw new AppError('configuration', howToGetRedis)
}

const howToGetRedis =
  'No redis-server found, and it could not be unpacked from a Debian package. Install it by `apt-get install redis-server`, by `brew install redis`, ' +
  'or run `docker run -p 6379:6379 redis:7` and set REDIS_URL=redis://127.0.0.1:6379.'

/** A second server on the same directory waits so long for the first one to end, then gives up. A killed one may leave a child that still writes. */
const lockWaitSeconds = 60

/**
 * The command that runs the server on this directory. Two at once would both write the same file, and the later one would take the socket without a
 * word: `flock`, where the system has it, keeps the second one waiting. It becomes the server, so that signals and the process id are the server's.
 */
export function redisCommand(program: RedisProgram, socketPath: string, directory: string, path: string) {
  const args = redisArguments(socketPath, directory)
  const flock = findOnPath('flock', path)
  if (!flock) return { command: program.command, args }
  const lock = ['--no-fork', '--verbose', '--timeout', String(lockWaitSeconds), join(directory, 'lock')]
  return { command: flock, args: [...lock, program.command, ...args] }
}

/** Arguments of the server: a unix socket that only this user may open, append-only file, nothing evicted. */
export function redisArguments(socketPath: string, directory: string): string[] {
  return [
    ['--port', '0'],
    ['--unixsocket', socketPath],
    ['--unixsocketperm', '700'],
    ['--dir', directory],
    ['--save', ''],
    ['--appendonly', 'yes'],
    ['--appendfsync', 'everysec'],
    ['--maxmemory-policy', 'noeviction'],
    ['--daemonize', 'no'],
    ['--loglevel', 'warning'],
  ].flat()
}

async function unpackDebianPackage(cacheDir: string): Promise<void> {
  mkdirSync(cacheDir, { recursive: true })
  const work = join(cacheDir, `redis-unpack-${process.pid}`)
  mkdirSync(join(work, 'root'), { recursive: true })
  try {
    await run('apt-get', ['update', '-qq'], { timeout: 120_000 }).catch(() => undefined) // fails without root; the lists may be there already
    await run('apt-get', ['download', '-qq', ...(await neededPackages())], { cwd: work, timeout: 180_000 })
    for (const file of readdirSync(work).filter((name) => name.endsWith('.deb'))) {
      await run('dpkg', ['-x', join(work, file), join(work, 'root')], { timeout: 60_000 })
    }
    rmSync(join(cacheDir, 'redis-program'), { recursive: true, force: true })
    renameSync(join(work, 'root'), join(cacheDir, 'redis-program'))
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** redis-server, redis-tools and those of their libraries that this system lacks. */
async function neededPackages(): Promise<string[]> {
  const flags = [
    '--recurse',
    '--no-recommends',
    '--no-suggests',
    '--no-conflicts',
    '--no-breaks',
    '--no-replaces',
    '--no-enhances',
  ]
  const { stdout } = await run('apt-cache', ['depends', ...flags, 'redis-server'], { timeout: 60_000 })
  const named = [...new Set(stdout.split('\n').filter((line) => /^[a-z0-9][a-z0-9.+-]*$/.test(line)))]
  const libraries = named.filter((name) => name.startsWith('lib') && name !== 'libc6')
  const missing = []
  for (const name of libraries) if (!(await isInstalled(name))) missing.push(name)
  return ['redis-server', 'redis-tools', ...missing]
}

async function isInstalled(name: string): Promise<boolean> {
  try {
    const { stdout } = await run('dpkg-query', ['-W', '-f', '${Status}', name], { timeout: 10_000 })
    return stdout.includes('install ok installed')
  } catch {
    return false
  }
}

function libraryDirs(root: string): string[] {
  const triplet = arch() === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
  return [join(root, 'lib', triplet), join(root, 'usr', 'lib', triplet)].filter((dir) => existsSync(dir))
}

function findOnPath(name: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .filter((dir) => dir !== '')
    .map((dir) => join(dir, name))
    .find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
