import pg from 'pg';
import { Environment } from '../src/platform/config/environment.js';
import { DatabasePool } from '../src/platform/database/database-pool.js';
import { migrate } from '../src/platform/database/migrate.js';

/** The same server, another database. */
export const withDatabase = (url: string, name: string): string => {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
};

export async function createDatabase(server: string, name: string): Promise<string> {
  await connected(server, (client) => client.query(`CREATE DATABASE ${name}`));
  return withDatabase(server, name);
}

export async function migrateDatabase(url: string): Promise<void> {
  const pool = await DatabasePool.open(Object.assign(new Environment(), { DATABASE_URL: url }));
  await migrate(pool);
  await pool.close();
}

export async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
