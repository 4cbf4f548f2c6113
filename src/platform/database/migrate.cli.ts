import 'reflect-metadata';
import { readEnvironment } from '../config/read-environment.js';
import { loadEnvironmentFile } from '../config/load-environment-file.js';
import { endWithReason } from '../errors/end-with-reason.js';
import { DatabasePool } from './database-pool.js';
import { migrate, revert } from './migrate.js';

/** `npm run migrate` and `npm run migrate:revert`. */
async function main(): Promise<void> {
  loadEnvironmentFile();
  const pool = await DatabasePool.open(readEnvironment(process.env));
  try {
    const isRevert = process.argv[2] === 'revert';
    await (isRevert ? revert(pool) : migrate(pool));
    console.log(isRevert ? 'The newest migration was taken back.' : 'The database is up to date.');
  } finally {
    await pool.close();
  }
}

await main().catch(endWithReason);
