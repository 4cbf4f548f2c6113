import type { PoolClient } from 'pg';
import { DataSource } from 'typeorm';
import { migrations } from '../../../migrations/index.js';
import type { DatabasePool } from '../database/database-pool.js';
import { dataSourceOptions } from '../database/data-source-options.js';
import { readMigrations } from './tables.js';

/** Brings the tables to exactly these migrations, within the transaction that the connection is in. */
export async function migrateTo(pool: DatabasePool, client: PoolClient, names: readonly string[]): Promise<void> {
  await using(pool, client, migrations, async (dataSource) => {
    for (;;) {
      const applied = (await readMigrations(client)) ?? [];
      if (applied.every((name) => names.includes(name))) return;
      await dataSource.undoLastMigration({ transaction: 'none' });
    }
  });
  const wanted = migrations.filter(({ name }) => names.includes(name));
  await using(pool, client, wanted, (dataSource) => dataSource.runMigrations({ transaction: 'none' }));
}

async function using(
  pool: DatabasePool,
  client: PoolClient,
  known: typeof migrations,
  work: (dataSource: DataSource) => Promise<unknown>,
): Promise<void> {
  // TypeORM gives back what it borrows; the connection stays ours.
  const lent = new Proxy(client, {
    get: (target, key) => {
      if (key === 'release') return () => undefined;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
  const options = dataSourceOptions(pool, () => Promise.resolve(lent));
  const dataSource = await new DataSource({ ...options, migrations: known }).initialize();
  try {
    await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}
