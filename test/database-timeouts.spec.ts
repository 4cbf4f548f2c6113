import { Controller, Module, Post, VERSION_NEUTRAL } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Public } from '../src/platform/access/access.decorator.js';
import { dumpDatabase } from '../src/platform/backup/dump-database.js';
import { Environment } from '../src/platform/config/environment.js';
import { Database } from '../src/platform/database/database.js';
import { DatabasePool } from '../src/platform/database/database-pool.js';
import { UnitOfWork } from '../src/platform/database/unit-of-work.js';
import { eventually, HANGING_MS, within } from './support/eventually.js';
import { openTestDatabase, startTestApp, type TestApp } from './support/test-app.js';

const IDLE_MS = 400;

/** Sleeps inside a transaction, as code does that asks somebody else in the middle of one. */
@Public()
@ApiExcludeController()
@Controller({ path: 'sleepy', version: VERSION_NEUTRAL })
class SleepyController {
  constructor(
    private readonly unitOfWork: UnitOfWork,
    private readonly database: Database,
  ) {}

  @Post('manager')
  throughManager(): Promise<void> {
    return this.unitOfWork.run(async ({ manager }) => {
      await manager.query(`INSERT INTO notes VALUES ('before')`);
      await sleep(IDLE_MS * 2);
      await manager.query(`INSERT INTO notes VALUES ('after')`);
    });
  }

  @Post('database')
  throughDatabase(): Promise<void> {
    return this.unitOfWork.run(async () => {
      await this.database.query(`INSERT INTO notes VALUES ('before')`);
      await sleep(IDLE_MS * 2);
      await this.database.query(`INSERT INTO notes VALUES ('after')`);
    });
  }

  @Post('sent')
  thenSends(): Promise<void> {
    return this.unitOfWork.run(async () => {
      await this.database.query(`INSERT INTO notes VALUES ('before')`);
      this.database.send({ name: 'add_note', text: 'INSERT INTO notes VALUES ($1)' }, ['sent']);
      await sleep(IDLE_MS * 2);
      await this.database.query(`INSERT INTO notes VALUES ('after')`);
    });
  }

  @Post('commit')
  thenCommit(): Promise<void> {
    return this.unitOfWork.run(async () => {
      await this.database.query(`INSERT INTO notes VALUES ('before')`);
      await sleep(IDLE_MS * 2);
    });
  }
}

@Module({ controllers: [SleepyController] })
class SleepyModule {}

const TOO_SLOW = {
  status: 503,
  headers: { 'retry-after': expect.stringMatching(/^\d+$/), 'content-type': 'application/problem+json' },
  body: { code: 'database_too_slow', title: 'Service Unavailable' },
};

describe.skipIf(!inject('template'))('the connections to a PostgreSQL server', () => {
  const SHOW = `SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock,
                       current_setting('idle_in_transaction_session_timeout') AS idle,
                       current_setting('search_path') AS path, current_setting('work_mem') AS work_mem`;

  let environment: Environment;
  let dispose: () => Promise<void>;

  beforeAll(async () => {
    environment = new Environment();
    ({ dispose } = await openTestDatabase(environment));
  });
  afterAll(() => dispose());

  async function settingsOfAll(settings: Partial<Environment>): Promise<Record<string, string>[]> {
    const pool = await DatabasePool.open(Object.assign(new Environment(), environment, settings));
    const clients = await Promise.all([1, 2, 3].map(() => pool.pool.connect()));
    const found = await Promise.all(clients.map((client) => client.query<Record<string, string>>(SHOW)));
    for (const client of clients) client.release();
    await pool.close();
    return found.map(({ rows }) => rows[0]!);
  }

  it('all have the timeouts that the environment says', async () => {
    const all = await settingsOfAll({
      DATABASE_STATEMENT_TIMEOUT_MS: 7_000,
      DATABASE_LOCK_TIMEOUT_MS: 1_500,
      DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_MS: 0,
    });

    expect(all).toHaveLength(3);
    for (const one of all) expect(one).toMatchObject({ statement: '7s', lock: '1500ms', idle: '0' });
  });

  it('have sensible ones when it says nothing', async () => {
    for (const one of await settingsOfAll({}))
      expect(one).toMatchObject({ statement: '30s', lock: '10s', idle: '30s' });
  });

  it('keep them when the address has options of its own, which win', async () => {
    const address = new URL(environment.DATABASE_URL);
    address.searchParams.set('options', '-c work_mem=7MB -c lock_timeout=2s');

    for (const one of await settingsOfAll({ DATABASE_URL: address.href })) {
      expect(one).toEqual({ statement: '30s', lock: '2s', idle: '30s', path: 'public,bullmq', work_mem: '7MB' });
    }
  });

  it('are no more than the pool may have', async () => {
    const pool = await DatabasePool.open(Object.assign(new Environment(), environment, { DATABASE_POOL_SIZE: 4 }));

    await Promise.all(Array.from({ length: 20 }, () => pool.pool.query('SELECT pg_sleep(0.02)')));

    expect(pool.pool.totalCount).toBe(4);
    await pool.close();
  });
});

describe.skipIf(!inject('template')).each([
  ['statement', { DATABASE_STATEMENT_TIMEOUT_MS: 500, DATABASE_LOCK_TIMEOUT_MS: 0 }],
  ['lock', { DATABASE_STATEMENT_TIMEOUT_MS: 0, DATABASE_LOCK_TIMEOUT_MS: 300 }],
])('a request that runs into the %s timeout', (_name, environment) => {
  let server: TestApp;
  let holder: PoolClient;

  beforeAll(async () => {
    server = await startTestApp({ environment });
    holder = await server.app.get(DatabasePool).pool.connect();
    await holder.query('SET statement_timeout = 0');
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE projects, tasks IN ACCESS EXCLUSIVE MODE');
  });
  afterAll(async () => {
    holder.release(true);
    await server.close();
  });

  it.each([
    ['POST', '/api/v1/projects', { name: 'Never' }, {}],
    ['POST', '/api/v1/projects', { name: 'Never' }, { 'Idempotency-Key': 'never' }],
    ['POST', '/api/v1/tasks', { title: 'Never' }, {}],
    ['GET', '/api/v1/projects', undefined, {}],
  ] as const)('is answered with 503 and Retry-After: %s %s', async (method, path, body, headers) => {
    expect(await within(HANGING_MS, server.request(method, path, body, headers))).toMatchObject(TOO_SLOW);
  });

  it('has changed nothing, and the server goes on', async () => {
    await holder.query('ROLLBACK');

    expect((await server.get('/api/v1/projects')).body).toEqual([]);
    expect((await server.get('/api/v1/tasks')).body).toEqual([]);
    expect((await server.database.query(`SELECT 1 FROM events WHERE type LIKE 'project%'`)).length).toBe(0);
    expect((await server.database.query('SELECT 1 FROM idempotency_keys')).length).toBe(0);
    const repeated = await server.post('/api/v1/projects', { name: 'Never' }, { 'Idempotency-Key': 'never' });
    expect(repeated).toMatchObject({ status: 201, body: { name: 'Never' } });
  });
});

describe.skipIf(!inject('template'))('a transaction that does nothing for too long', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp({
      environment: { DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_MS: IDLE_MS },
      extra: [SleepyModule],
    });
    await server.database.query('CREATE TABLE notes (note text)');
  });
  afterAll(() => server.close());

  it.each(['manager', 'database', 'sent', 'commit'])(
    'is answered with 503, and nothing of it is done: %s',
    async (way) => {
      expect(await server.post(`/api/sleepy/${way}`)).toMatchObject(TOO_SLOW);
      expect(await server.database.query('SELECT * FROM notes')).toEqual([]);
      expect((await server.get('/health/ready')).status).toBe(200);
    },
  );

  it('is none that listens, or that is idle outside of a transaction', async () => {
    const listening = () =>
      server.database.query(
        `SELECT pid FROM pg_stat_activity WHERE query = 'LISTEN flightdeck_events' AND datname = current_database()`,
      );
    await eventually(async () => expect(await listening()).toHaveLength(1));
    const before = await listening();

    await sleep(IDLE_MS * 3);

    expect(await listening()).toEqual(before);
  });

  it('is no backup, however slowly its file is written', async () => {
    const client = await server.app.get(DatabasePool).pool.connect();
    const pieces: string[] = [];

    for await (const text of dumpDatabase(client, () => undefined)) {
      if (pieces.length < 2) await sleep(IDLE_MS * 2);
      pieces.push(text);
    }
    const { rows } = await client.query(`SELECT current_setting('idle_in_transaction_session_timeout') AS idle`);
    client.release();

    expect(pieces.length).toBeGreaterThan(5);
    expect(rows).toEqual([{ idle: `${IDLE_MS}ms` }]);
  });
});
