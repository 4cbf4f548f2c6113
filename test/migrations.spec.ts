import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { migrations } from '../migrations/index.js';
import { Environment } from '../src/platform/config/environment.js';
import { DatabasePool } from '../src/platform/database/database-pool.js';
import { EmbeddedDatabase } from '../src/platform/database/embedded/embedded-database.js';
import { migrate, MIGRATION_LOCK, revert } from '../src/platform/database/migrate.js';
import { StartupError } from '../src/platform/errors/startup-error.js';
import { sleep } from './support/eventually.js';
import { administer, withDatabase } from './support/global-setup.js';
import { startTestApp } from './support/test-app.js';

describe('the migrations', () => {
  let pool: DatabasePool;
  let environment: Environment;
  let dispose: () => Promise<void>;

  beforeEach(async () => {
    ({ pool, environment, dispose } = await openEmptyDatabase());
  });
  afterEach(() => dispose());

  const names = migrations.map(({ name }) => name);
  const query = async <Row>(text: string): Promise<Row[]> => (await pool.pool.query(text)).rows as Row[];
  const applied = async () =>
    (await query<{ name: string }>('SELECT name FROM migrations ORDER BY id')).map(({ name }) => name);

  /** Tables, columns, indexes, constraints, functions and triggers: everything that a migration makes. */
  const shape = () =>
    query(`
      SELECT 'column' AS kind, table_schema || '.' || table_name || '.' || column_name AS name,
             data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') AS definition
      FROM information_schema.columns WHERE table_schema IN ('public', 'bullmq')
      UNION ALL SELECT 'index', schemaname || '.' || indexname, indexdef FROM pg_indexes WHERE schemaname IN ('public', 'bullmq')
      UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
      UNION ALL SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
      UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
      ORDER BY 1, 2, 3`);

  it('make exactly the tables that the entities describe', async () => {
    const server = await startTestApp();
    const builder = server.app.get(DataSource).driver.createSchemaBuilder();

    const { upQueries } = await builder.log();
    await server.close();

    expect(upQueries.map((change) => change.query)).toEqual([]);
  });

  it('would be seen to lack a column', async () => {
    const server = await startTestApp();
    const dataSource = server.app.get(DataSource);
    await dataSource.query('ALTER TABLE projects DROP COLUMN description');

    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    await server.close();

    expect(upQueries.map((change) => change.query)).toEqual([expect.stringContaining('ADD "description"')]);
  });

  it('run once: a second start changes nothing', async () => {
    await migrate(pool);
    const before = await shape();

    await migrate(pool);

    expect(await applied()).toEqual(names);
    expect(await shape()).toEqual(before);
  });

  it('can be taken back to the first, and run again', async () => {
    await migrate(pool);
    const before = await shape();

    for (const expected of names.map((_name, index) => names.slice(0, names.length - 1 - index))) {
      await revert(pool);
      expect(await applied()).toEqual(expected);
    }
    const left = await query<{ table_name: string }>(
      `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`,
    );
    const functions = await query(`SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace`);
    await migrate(pool);

    expect(left).toEqual([{ table_name: 'migrations' }]);
    expect(functions).toEqual([]);
    expect(await shape()).toEqual(before);
  });

  it('refuse a database that a newer version has migrated, and leave it as it is', async () => {
    await migrate(pool);
    await revert(pool);
    await pool.pool.query(
      `INSERT INTO migrations (timestamp, name) VALUES (9990000000000, 'AddWarpDrive9990000000000')`,
    );
    const before = [await shape(), await applied()];

    const error: unknown = await migrate(pool).catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(StartupError);
    expect((error as Error).message).toContain('AddWarpDrive9990000000000');
    expect([await shape(), await applied()]).toEqual(before);
  });

  it('leave nothing of one that fails, and can be tried again', async () => {
    await pool.pool.query('CREATE TABLE projects (mine text)');

    await expect(migrate(pool)).rejects.toThrow('already exists');
    expect(await applied()).not.toContain(names.find((name) => name.includes('Projects')));
    await pool.pool.query('DROP TABLE projects');
    await migrate(pool);

    expect(await applied()).toEqual(names);
  });

  it('take connections only for as long as they run', async () => {
    await migrate(pool);
    await migrate(pool);

    expect(pool.pool.totalCount - pool.pool.idleCount).toBe(0);
    expect(await query(`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`)).toEqual([]);
  });

  it.skipIf(!inject('template'))('take turns when many servers start at once', async () => {
    const others = await Promise.all(Array.from({ length: 3 }, () => DatabasePool.open(environment)));

    await Promise.all([pool, ...others].map((one) => migrate(one)));
    await Promise.all(others.map((other) => other.close()));

    expect(await applied()).toEqual(names);
  });

  it.skipIf(!inject('template'))('wait for those of another server, longer than other statements may', async () => {
    const other = await pool.pool.connect();
    await other.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const impatient = await DatabasePool.open(
      Object.assign(new Environment(), {
        DATABASE_URL: environment.DATABASE_URL,
        DATABASE_STATEMENT_TIMEOUT_MS: 100,
        DATABASE_LOCK_TIMEOUT_MS: 100,
      }),
    );
    await expect(impatient.pool.query('SELECT pg_sleep(1)')).rejects.toMatchObject({ code: '57014' });

    const migrating = migrate(impatient);
    await sleep(300);
    other.release(true);
    await migrating;
    await impatient.close();

    expect(await applied()).toEqual(names);
  });
});

async function openEmptyDatabase(): Promise<{
  pool: DatabasePool;
  environment: Environment;
  dispose: () => Promise<void>;
}> {
  const environment = new Environment();
  const template = inject('template');
  if (!template) {
    const pool = DatabasePool.embedded(await EmbeddedDatabase.inMemory());
    return { pool, environment, dispose: () => pool.close() };
  }
  const name = `flightdeck_empty_${randomUUID().replaceAll('-', '')}`;
  await administer(template.url, `CREATE DATABASE ${name}`);
  environment.DATABASE_URL = withDatabase(template.url, name);
  const pool = await DatabasePool.open(environment);
  return {
    pool,
    environment,
    dispose: async () => {
      await pool.close();
      await administer(template.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}
