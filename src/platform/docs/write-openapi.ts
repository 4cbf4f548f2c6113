import 'reflect-metadata';
import { readFile, writeFile } from 'node:fs/promises';
import { createApp } from '../../app.setup.js';
import { Environment } from '../config/environment.js';
import { DatabasePool } from '../database/database-pool.js';
import { EmbeddedDatabase } from '../database/embedded/embedded-database.js';
import { migrate } from '../database/migrate.js';
import { buildDocument } from './openapi.js';

const FILE = 'openapi.json';

/** `npm run openapi` writes the document; with `--check` it only says whether the committed one is up to date. */
async function main(): Promise<void> {
  const pool = DatabasePool.embedded(await EmbeddedDatabase.inMemory());
  await migrate(pool);
  const environment = Object.assign(new Environment(), { ENVIRONMENT: 'test', LOG_LEVEL: 'error' });
  const app = await createApp(environment, pool);
  await app.init();
  const text = `${JSON.stringify(buildDocument(app), null, 2)}\n`;
  await app.close();
  await pool.close();
  if (!process.argv.includes('--check')) {
    await writeFile(FILE, text);
    console.log(`Wrote ${FILE}.`);
  } else if ((await readFile(FILE, 'utf8').catch(() => '')) !== text) {
    console.error(`${FILE} is out of date: run npm run openapi and commit it.`);
    process.exitCode = 1;
  }
}

await main();
