import { PGlite } from '@electric-sql/pglite';
import { constants, existsSync } from 'node:fs';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { StartupError } from '../../errors/startup-error.js';
import { DirectoryLock } from './directory-lock.js';
import { EmbeddedSession } from './embedded-session.js';
import { EmbeddedSocket } from './embedded-socket.js';

const POSTGRES_MAJOR = '18';
/** PGlite's default of 160 MB is meant for browsers with one big database; 16 MB is enough for a small server. */
const SETTINGS = ['shared_buffers=16MB', 'search_path=public,bullmq'];

/** PostgreSQL inside this process. Many `pg` clients share its one session; see {@link EmbeddedSession}. */
export class EmbeddedDatabase {
  private readonly session: EmbeddedSession;

  private constructor(
    private readonly pglite: PGlite,
    private readonly lock: DirectoryLock | null,
    private readonly server_version: string,
  ) {
    this.session = new EmbeddedSession(pglite);
  }

  /** Opens (or creates) the database in `data_dir/postgres`. Throws {@link StartupError} when that cannot be. */
  static async open(data_dir: string): Promise<EmbeddedDatabase> {
    const home = resolve(data_dir);
    const lock = await takeHome(home).catch((error: NodeJS.ErrnoException) => {
      if (error.code === undefined) throw error;
      throw new StartupError(
        `The data directory ${home} cannot be used (${error.code}). Set DATA_DIR to another folder.`,
      );
    });
    try {
      return await EmbeddedDatabase.start(await openFiles(home), lock);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** A database that lives in memory, empty or as a dump left it: for tests and tools. */
  static async inMemory(dump?: Blob): Promise<EmbeddedDatabase> {
    const pglite = await PGlite.create({ ...(dump && { loadDataDir: dump }), startParams: startParams() });
    return EmbeddedDatabase.start(pglite, null);
  }

  private static async start(pglite: PGlite, lock: DirectoryLock | null): Promise<EmbeddedDatabase> {
    const { rows } = await pglite.query<{ server_version: string }>('SHOW server_version');
    return new EmbeddedDatabase(pglite, lock, rows[0]!.server_version);
  }

  /** A new connection, for the `stream` option of `pg`. */
  connect(): EmbeddedSocket {
    return new EmbeddedSocket(this.session, this.server_version);
  }

  dump(): Promise<Blob> {
    return this.pglite.dumpDataDir('none');
  }

  async close(): Promise<void> {
    await this.pglite.close();
    await this.lock?.release();
  }
}

const startParams = (): string[] => [...PGlite.defaultStartParams, ...SETTINGS.flatMap((setting) => ['-c', setting])];

async function takeHome(home: string): Promise<DirectoryLock> {
  await mkdir(home, { recursive: true });
  // The lock may lie elsewhere, so it does not prove that this folder can be written.
  await access(home, constants.W_OK);
  return DirectoryLock.take(home);
}

async function openFiles(home: string): Promise<PGlite> {
  const dataDir = join(home, 'postgres');
  const unfinished = join(home, 'postgres.unfinished');
  // Only a first start that never came to its end leaves this mark, so nothing of value can be in the folder.
  if (existsSync(unfinished)) await rm(dataDir, { recursive: true, force: true });

  if (existsSync(dataDir)) {
    const version = await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => '');
    if (version.trim() !== POSTGRES_MAJOR) {
      throw new StartupError(
        version === ''
          ? `${dataDir} is not a Flightdeck database. Nothing was changed; set DATA_DIR to another folder.`
          : `${dataDir} was written by PostgreSQL ${version.trim()}, but this Flightdeck has ${POSTGRES_MAJOR}. Nothing was changed.`,
      );
    }
    return await openExisting(dataDir);
  }
  return createNew(dataDir, unfinished);
}

async function createNew(dataDir: string, unfinished: string): Promise<PGlite> {
  try {
    await writeFile(unfinished, '');
    const pglite = await PGlite.create({ dataDir, startParams: startParams() });
    await rm(unfinished);
    return pglite;
  } catch (error) {
    throw new StartupError(
      `A database cannot be created in ${dataDir} (${messageOf(error)}). Set DATA_DIR to another folder.`,
    );
  }
}

async function openExisting(dataDir: string): Promise<PGlite> {
  const processFile = join(dataDir, 'postmaster.pid');
  const hadProcessFile = existsSync(processFile);
  try {
    return await PGlite.create({ dataDir, startParams: startParams() });
  } catch (error) {
    if (!hadProcessFile) await rm(processFile, { force: true });
    throw new StartupError(
      `The database in ${dataDir} is damaged and cannot be opened (${messageOf(error)}). Nothing was changed; restore a backup, or set DATA_DIR to another folder.`,
    );
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
