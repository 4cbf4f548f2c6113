import 'reflect-metadata';
import { loadEnvironmentFile } from '../config/load-environment-file.js';
import { readEnvironment } from '../config/read-environment.js';
import { DatabasePool } from '../database/database-pool.js';
import { endWithReason } from '../errors/end-with-reason.js';
import { fileArgument } from './file-argument.js';
import { checkBackup, restoreBackup } from './restore-backup.js';

/** `npm run restore -- file`. */
async function main(): Promise<void> {
  const file = fileArgument('restore');
  loadEnvironmentFile();
  const environment = readEnvironment(process.env);
  // Before anything is opened: opening an embedded database makes one.
  const header = await checkBackup(file);
  const pool = await DatabasePool.open(environment);
  try {
    const rows = await restoreBackup(pool, file, header);
    const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
    console.log(`Restored ${total} rows of ${Object.keys(rows).length} tables, as they were at ${header.created_at}.`);
  } finally {
    await pool.close();
  }
}

await main().catch((error: unknown) => endWithReason(error, 'Nothing was restored'));
