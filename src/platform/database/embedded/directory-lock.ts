import { createHash } from 'node:crypto';
import { rename, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { StartupError } from '../../errors/startup-error.js';

/** The longest path that a Unix socket can have everywhere. */
const LONGEST_SOCKET_PATH = 100;

/**
 * Keeps a second server away from a data directory. The lock is a local socket that only a living process answers, so
 * a crash never leaves a stale one behind, and no process id has to be trusted.
 */
export class DirectoryLock {
  private constructor(private readonly server: Server) {}

  /** Throws {@link StartupError} when another process holds the directory. */
  static async take(directory: string): Promise<DirectoryLock> {
    const path = socketPath(directory);
    for (let attempt = 0; attempt < 5; attempt++) {
      const server = await tryListen(path);
      if (server) return new DirectoryLock(server);
      if (await answers(path)) break;
      await putAside(path);
    }
    throw new StartupError(
      `Another Flightdeck is using the data directory ${directory}. Stop it first, or set DATA_DIR to another folder.`,
    );
  }

  release(): Promise<void> {
    return new Promise((resolve) => this.server.close(() => resolve()));
  }
}

function socketPath(directory: string): string {
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  if (process.platform === 'win32') return `\\\\.\\pipe\\flightdeck-${name}`;
  const inside = join(directory, 'server.lock');
  return (
    [inside, relative(process.cwd(), inside)].find((path) => Buffer.byteLength(path) < LONGEST_SOCKET_PATH) ??
    join(tmpdir(), `flightdeck-${name}.lock`)
  );
}

function tryListen(path: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(null) : reject(error),
    );
    server.listen(path, () => resolve(server));
  });
}

/** Only these say that nobody listens; when we may not ask, or the answer is slow, somebody does. */
const NOBODY = new Set(['ECONNREFUSED', 'ENOENT', 'ENOTSOCK']);

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(!NOBODY.has(code ?? '')));
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
  });
}

/** Moves a dead socket away. Looks again afterwards: it may have become another starter's living one meanwhile. */
async function putAside(path: string): Promise<void> {
  const aside = `${path}.${process.pid}`;
  await rename(path, aside).catch(() => undefined);
  if (await answers(aside)) await rename(aside, path).catch(() => undefined);
  else await unlink(aside).catch(() => undefined);
}
