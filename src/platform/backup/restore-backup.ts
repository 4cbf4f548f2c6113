import type { PoolClient } from 'pg';
import { migrations } from '../../../migrations/index.js';
import type { DatabasePool } from '../database/database-pool.js';
import { liftTimeouts } from '../database/lift-timeouts.js';
import { MIGRATION_LOCK } from '../database/migrate.js';
import { type BackupHeader, BackupRefused } from './backup-format.js';
import { setLogClock } from './log-clock.js';
import { migrateTo } from './migrate-to.js';
import { type Item, readBackup, verifyBackup } from './read-backup.js';
import { TableLoader } from './table-loader.js';
import { quoted, readIdentities, readTables } from './tables.js';

/** What a migration or a first start puts there by itself; the backup's rows take its place. */
const SEEDED = ['event_log_floor', 'event_consumers'];

/** Reads the whole file, and answers what it begins with. Throws {@link BackupRefused} when it cannot be restored. */
export async function checkBackup(file: string): Promise<BackupHeader> {
  const header = await verifyBackup(file);
  refuseNewerBackup(file, header);
  return header;
}

/**
 * Puts everything of a backup, which {@link checkBackup} has read, into an empty database, all or nothing, and brings
 * the tables up to date. Throws {@link BackupRefused} when the database is not empty or in use.
 */
export async function restoreBackup(
  pool: DatabasePool,
  file: string,
  header: BackupHeader,
): Promise<Record<string, number>> {
  const client = await pool.pool.connect();
  try {
    await client.query('BEGIN');
    await liftTimeouts(client, 'transaction');
    if (!pool.embedded) await refuseRunningServers(client);
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await refuseData(client);
    await migrateTo(pool, client, header.migrations);
    const rows = await load(client, file, header);
    await migrateTo(
      pool,
      client,
      migrations.map(({ name }) => name),
    );
    await setLogClock(client, header.log_horizon);
    await client.query(`ANALYZE ${(await readTables(client)).map(({ name }) => quoted(name)).join(', ')}`);
    await client.query('COMMIT');
    return rows;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

function refuseNewerBackup(file: string, header: BackupHeader): void {
  const known = new Set(migrations.map(({ name }) => name));
  const unknown = header.migrations.filter((name) => !known.has(name));
  if (unknown.length === 0) return;
  throw new BackupRefused(
    `${file} was written by a newer Flightdeck (${header.flightdeck_version}): it has the migration ${unknown.at(-1)!}. Nothing was changed; restore it with that version.`,
  );
}

/** They would go on with what they have in memory. */
async function refuseRunningServers(client: PoolClient): Promise<void> {
  const { rows } = await client.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'flightdeck' AND pid <> pg_backend_pid()`,
  );
  if (rows[0]!.count === 0) return;
  throw new BackupRefused('A Flightdeck is running on this database. Nothing was changed; stop it and try again.');
}

async function refuseData(client: PoolClient): Promise<void> {
  const tables = await readTables(client);
  if (tables.length === 0) return;
  await client.query(`LOCK TABLE ${tables.map(({ name }) => quoted(name)).join(', ')} IN ACCESS EXCLUSIVE MODE`);
  for (const { name } of tables.filter((table) => !SEEDED.includes(table.name))) {
    const { rows } = await client.query<{ has_rows: boolean }>(
      `SELECT EXISTS (SELECT FROM ${quoted(name)}) AS has_rows`,
    );
    if (!rows[0]!.has_rows) continue;
    throw new BackupRefused(
      `The database is not empty: there are rows in ${name}. Nothing was changed; restore into a new database.`,
    );
  }
}

async function load(client: PoolClient, file: string, header: BackupHeader): Promise<Record<string, number>> {
  const tables = new Map((await readTables(client)).map((table) => [table.name, table]));
  for (const { name, columns } of header.tables) {
    const known = new Set(tables.get(name)?.columns.map((column) => column.name));
    const unknown = columns.find((column) => !known.has(column));
    if (unknown) throw new BackupRefused(`The backup has ${name}.${unknown}, which this Flightdeck does not know.`);
  }
  for (const name of SEEDED) if (tables.has(name)) await client.query(`DELETE FROM ${quoted(name)}`);

  let loader: TableLoader | null = null;
  let end: Extract<Item, { kind: 'end' }> | null = null;
  for await (const item of readBackup(file)) {
    if (item.kind === 'row') await loader!.add(item.text);
    if (item.kind === 'table') {
      await loader?.flush();
      const { columns } = header.tables.find(({ name }) => name === item.name)!;
      loader = new TableLoader(client, tables.get(item.name)!, columns);
    }
    if (item.kind === 'end') end = item;
  }
  await loader?.flush();
  await setSequences(client, end!);
  return end!.rows;
}

async function setSequences(client: PoolClient, { sequences }: Extract<Item, { kind: 'end' }>): Promise<void> {
  const identities = await readIdentities(client);
  for (const { table, column, last_value, is_called } of sequences) {
    const identity = identities.find((one) => one.table === table && one.column === column);
    if (identity) await client.query('SELECT setval($1, $2, $3)', [identity.sequence, last_value, is_called]);
  }
}
