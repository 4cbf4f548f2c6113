import { runMigrations as migrateQueue } from 'bullmq';
import type { PoolClient } from 'pg';
import { DataSource } from 'typeorm';
import { migrations } from '../../../migrations/index.js';
import { StartupError } from '../errors/startup-error.js';
import type { DatabasePool } from './database-pool.js';
import { dataSourceOptions } from './data-source-options.js';
import { liftTimeouts } from './lift-timeouts.js';

/** Any number; the same on all nodes, so that they migrate one after the other. */
export const MIGRATION_LOCK = 7_240_001;

/** Brings the tables (ours and the queue's) to what this version needs; safe when many nodes start at once. */
export async function migrate(pool: DatabasePool): Promise<void> {
  await alone(pool, async (dataSource, client) => {
    await refuseNewerDatabase(dataSource);
    await dataSource.runMigrations({ transaction: 'each' });
    await migrateQueue(client, 'bullmq');
  });
}

/** Takes back the newest migration. */
export const revert = (pool: DatabasePool): Promise<void> =>
  alone(pool, (dataSource) => dataSource.undoLastMigration({ transaction: 'each' }));

async function alone(
  pool: DatabasePool,
  work: (dataSource: DataSource, client: PoolClient) => Promise<void>,
): Promise<void> {
  const borrow = () => patientConnection(pool);
  const client = await borrow();
  try {
    // Ends with the connection, whatever becomes of it.
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const dataSource = await new DataSource({ ...dataSourceOptions(pool, borrow), migrations }).initialize();
    try {
      await work(dataSource, client);
    } finally {
      await dataSource.destroy();
    }
  } finally {
    client.release();
  }
}

/** A migration, or waiting for another server's, may take longer than statements otherwise may. */
async function patientConnection({ pool }: DatabasePool): Promise<PoolClient> {
  const client = await pool.connect();
  const release = client.release.bind(client);
  client.release = () => release(true);
  await liftTimeouts(client, 'connection');
  return client;
}

async function refuseNewerDatabase(dataSource: DataSource): Promise<void> {
  const known = new Set(migrations.map(({ name }) => name));
  const [{ exists }] = (await dataSource.query(`SELECT to_regclass('migrations') IS NOT NULL AS exists`)) as [
    { exists: boolean },
  ];
  if (!exists) return;
  const applied = (await dataSource.query('SELECT name FROM migrations ORDER BY id')) as { name: string }[];
  const unknown = applied.filter(({ name }) => !known.has(name));
  if (unknown.length === 0) return;
  throw new StartupError(
    `The database is newer than this Flightdeck: it has the migration ${unknown.at(-1)!.name}. Nothing was changed; start a newer version.`,
  );
}
