import { open, stat, unlink } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { DatabasePool } from '../database/database-pool.js';
import { BackupRefused } from './backup-format.js';
import { type Dump, dumpDatabase } from './dump-database.js';

export interface WrittenBackup extends Dump {
  bytes: number;
}

/** Writes everything that the database holds into a new file. Throws {@link BackupRefused}; leaves no part of a file. */
export async function writeBackup({ pool }: DatabasePool, file: string): Promise<WrittenBackup> {
  // Only its owner may read it: it holds everything.
  const handle = await open(file, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') throw new BackupRefused(`${file} exists already; give another name.`);
    throw new BackupRefused(`${file} cannot be written (${error.code}).`);
  });
  const client = await pool.connect();
  let dump: Dump | undefined;
  try {
    const text = dumpDatabase(client, (done) => {
      dump = done;
    });
    await pipeline(Readable.from(text), createGzip(), handle.createWriteStream({ flush: true }));
  } catch (error) {
    await handle.close().catch(() => undefined);
    await unlink(file);
    throw error;
  } finally {
    client.release();
  }
  return { ...dump!, bytes: (await stat(file)).size };
}
