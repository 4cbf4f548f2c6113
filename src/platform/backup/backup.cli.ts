import 'reflect-metadata';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadEnvironmentFile } from '../config/load-environment-file.js';
import { readEnvironment } from '../config/read-environment.js';
import { DatabasePool } from '../database/database-pool.js';
import { endWithReason } from '../errors/end-with-reason.js';
import { BackupRefused } from './backup-format.js';
import { fileArgument } from './file-argument.js';
import { writeBackup } from './write-backup.js';

/** `npm run backup -- file`. */
async function main(): Promise<void> {
  const file = fileArgument('backup');
  loadEnvironmentFile();
  const environment = readEnvironment(process.env);
  const { is_embedded, DATA_DIR } = environment;
  // Opening it would make one.
  if (is_embedded && !existsSync(join(DATA_DIR, 'postgres'))) {
    throw new BackupRefused(`There is no database in ${resolve(DATA_DIR)}. Set DATA_DIR or DATABASE_URL.`);
  }
  const pool = await DatabasePool.open(environment);
  try {
    const { rows, bytes } = await writeBackup(pool, file);
    const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
    console.log(`Wrote ${file}: ${total} rows of ${Object.keys(rows).length} tables, ${bytes} bytes.`);
  } finally {
    await pool.close();
  }
}

await main().catch((error: unknown) => endWithReason(error, 'No backup was made'));
