import type { PoolClient } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DatabasePool } from '../src/platform/database/database-pool.js';
import { EmbeddedDatabase } from '../src/platform/database/embedded/embedded-database.js';
import { eventually } from './support/eventually.js';

describe('the embedded database', () => {
  let database: DatabasePool;
  const query = (text: string, values?: unknown[]) => database.pool.query(text, values);
  const noted = async () =>
    (await query('SELECT note FROM notes ORDER BY note')).rows.map(({ note }) => note as string);

  beforeAll(async () => {
    database = DatabasePool.embedded(await EmbeddedDatabase.inMemory());
    await query('CREATE TABLE notes (note text CONSTRAINT uq_notes__note UNIQUE)');
  });
  beforeEach(() => query('TRUNCATE notes'));
  afterAll(() => database.close());

  async function withClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await database.pool.connect();
    try {
      return await work(client);
    } finally {
      client.release();
    }
  }

  describe('shared by many clients', () => {
    it('keeps their transactions apart: a rollback of one touches no other', async () => {
      const write = (index: number) =>
        withClient(async (client) => {
          await client.query('BEGIN');
          await client.query('INSERT INTO notes VALUES ($1)', [`${index} first`]);
          await new Promise((resolve) => setTimeout(resolve, index % 3));
          await client.query('INSERT INTO notes VALUES ($1)', [`${index} second`]);
          const { rows } = await client.query('SELECT count(*)::int AS count FROM notes WHERE note LIKE $1', [
            `${index} %`,
          ]);
          await client.query(index % 2 === 0 ? 'COMMIT' : 'ROLLBACK');
          return (rows as [{ count: number }])[0].count;
        });

      const counts = await Promise.all(Array.from({ length: 10 }, (_, index) => write(index)));

      expect(counts).toEqual(counts.map(() => 2));
      expect(await noted()).toEqual([0, 2, 4, 6, 8].flatMap((index) => [`${index} first`, `${index} second`]));
    });

    it('lets the others wait until a transaction has ended', async () => {
      await withClient(async (client) => {
        await client.query('BEGIN');
        await client.query(`INSERT INTO notes VALUES ('unseen')`);
        const other = noted();
        await client.query('ROLLBACK');

        expect(await other).toEqual([]);
      });
    });

    it('prepares a named statement for each of them, also after an error in it', async () => {
      const named = { name: 'halve', text: 'SELECT 10 / $1::int AS half' };

      const halves = await Promise.all(
        [1, 2, 5].map((value) => withClient((client) => client.query({ ...named, values: [value] }))),
      );
      const failure = withClient((client) => client.query({ ...named, values: [0] }));

      expect(halves.map(({ rows }) => rows)).toEqual([[{ half: 10 }], [{ half: 5 }], [{ half: 2 }]]);
      await expect(failure).rejects.toMatchObject({ code: '22012' });
      expect((await withClient((client) => client.query({ ...named, values: [10] }))).rows).toEqual([{ half: 1 }]);
    });

    it('prepares a named statement anew when its first client failed to', async () => {
      const named = { name: 'late', text: 'SELECT count(*)::int AS count FROM late_table' };
      await expect(database.pool.query(named)).rejects.toMatchObject({ code: '42P01' });

      await query('CREATE TABLE late_table (id int)');

      expect((await database.pool.query(named)).rows).toEqual([{ count: 0 }]);
    });

    it('knows a statement that was prepared inside a transaction which rolled back', async () => {
      const named = { name: 'in_rollback', text: 'SELECT $1::text AS said' };
      await withClient(async (client) => {
        await client.query('BEGIN');
        await client.query({ ...named, values: ['first'] });
        await client.query('ROLLBACK');
      });

      const again = await Promise.all(
        ['a', 'b'].map((said) => withClient((client) => client.query({ ...named, values: [said] }))),
      );

      expect(again.map(({ rows }) => rows)).toEqual([[{ said: 'a' }], [{ said: 'b' }]]);
    });

    it('rolls back what a client left open when its connection ends', async () => {
      const client = await database.pool.connect();
      await client.query('BEGIN');
      await client.query(`INSERT INTO notes VALUES ('abandoned')`);

      client.release(true);

      expect(await noted()).toEqual([]);
    });

    it('does not give a client that was released inside a transaction to anyone else', async () => {
      const client = await database.pool.connect();
      await client.query('BEGIN');
      await client.query(`INSERT INTO notes VALUES ('forgotten')`);

      client.release();

      expect(await noted()).toEqual([]);
      await query(`INSERT INTO notes VALUES ('kept')`);
      expect(await noted()).toEqual(['kept']);
    });

    it('forgets what a client that was cut off still wanted', async () => {
      const holder = await database.pool.connect();
      await holder.query('BEGIN');
      const cut = await database.pool.connect();
      cut.on('error', () => undefined);
      const begun = cut.query('BEGIN').catch((error: Error) => error);

      (cut as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      await begun;
      cut.release(true);
      await holder.query('COMMIT');
      holder.release();

      await query(`INSERT INTO notes VALUES ('alive')`);
      expect(await noted()).toEqual(['alive']);
    });

    it('serves a thousand queries at once, each its own answer', async () => {
      const answers = await Promise.all(
        Array.from({ length: 1000 }, (_, index) => query('SELECT $1::int AS number', [index])),
      );

      expect(answers.map(({ rows }) => (rows as [{ number: number }])[0].number)).toEqual(
        answers.map((_, index) => index),
      );
    });

    it('leaves the event loop its turn while it works', async () => {
      let turns = 0;
      const timer = setInterval(() => turns++, 1);

      await Promise.all(Array.from({ length: 1000 }, () => query('SELECT 1')));
      clearInterval(timer);

      expect(turns).toBeGreaterThan(5);
    });
  });

  describe('to its clients looks like a server', () => {
    it('gives the types that pg gives', async () => {
      const { rows, rowCount, command } = await query(
        `SELECT 9007199254740993::bigint AS big, 1.10::numeric AS exact, 1.5::float8 AS float, true AS yes,
                '2026-01-02T03:04:05.678Z'::timestamptz AS at, ARRAY[1, 2] AS numbers, ARRAY['a"b', NULL] AS texts,
                '{"a": [1, null]}'::jsonb AS json, 'ä€😀' AS text, '\\x00ff'::bytea AS bytes, NULL AS nothing`,
      );

      expect(rows).toEqual([
        {
          big: '9007199254740993',
          exact: '1.10',
          float: 1.5,
          yes: true,
          at: new Date('2026-01-02T03:04:05.678Z'),
          numbers: [1, 2],
          texts: ['a"b', null],
          json: { a: [1, null] },
          text: 'ä€😀',
          bytes: Buffer.from([0, 255]),
          nothing: null,
        },
      ]);
      expect({ rowCount, command }).toEqual({ rowCount: 1, command: 'SELECT' });
    });

    it('takes the values that pg takes', async () => {
      const at = new Date('2026-01-02T03:04:05.678Z');

      const { rows } = await query(
        'SELECT $1::timestamptz AS at, $2::int[] AS numbers, $3::jsonb AS json, $4::bytea AS bytes, $5::text AS nothing',
        [at, [3, 4], { b: 'ö' }, Buffer.from([1, 2]), null],
      );

      expect(rows).toEqual([{ at, numbers: [3, 4], json: { b: 'ö' }, bytes: Buffer.from([1, 2]), nothing: null }]);
    });

    it('counts the rows that a statement changed', async () => {
      const inserted = await query(`INSERT INTO notes SELECT n::text FROM generate_series(1, 7) AS n`);
      const removed = await query(`DELETE FROM notes WHERE note > '3'`);

      expect([inserted.rowCount, removed.rowCount]).toEqual([7, 4]);
    });

    it('names what is wrong with a statement as pg does', async () => {
      await query(`INSERT INTO notes VALUES ('one')`);

      await expect(query(`INSERT INTO notes VALUES ('one')`)).rejects.toMatchObject({
        code: '23505',
        constraint: 'uq_notes__note',
        table: 'notes',
        detail: 'Key (note)=(one) already exists.',
      });
      await expect(query('SELEC 1')).rejects.toMatchObject({ code: '42601', position: '1' });
      expect((await query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    });

    it('runs several statements in one text, as one transaction', async () => {
      const results = (await query(
        `INSERT INTO notes VALUES ('x'); SELECT note FROM notes; SELECT 2 AS two`,
      )) as unknown as {
        rows: unknown[];
      }[];
      const failure = query(`INSERT INTO notes VALUES ('y'); SELECT 1 / 0`);

      expect(results.map(({ rows }) => rows)).toEqual([[], [{ note: 'x' }], [{ two: 2 }]]);
      await expect(failure).rejects.toMatchObject({ code: '22012' });
      expect(await noted()).toEqual(['x']);
    });

    it('refuses everything in a failed transaction until it is rolled back', async () => {
      await withClient(async (client) => {
        await client.query('BEGIN');
        await client.query(`INSERT INTO notes VALUES ('lost')`);
        await expect(client.query('SELECT 1 / 0')).rejects.toMatchObject({ code: '22012' });
        const other = noted();

        await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
        await client.query('ROLLBACK');

        expect(await other).toEqual([]);
        expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      });
    });

    it('keeps what came before a savepoint that was rolled back', async () => {
      await withClient(async (client) => {
        await client.query('BEGIN');
        await client.query(`INSERT INTO notes VALUES ('kept')`);
        await client.query('SAVEPOINT here');
        await expect(client.query(`INSERT INTO notes VALUES ('kept')`)).rejects.toMatchObject({ code: '23505' });
        await client.query('ROLLBACK TO SAVEPOINT here');
        await client.query('COMMIT');
      });

      expect(await noted()).toEqual(['kept']);
    });

    it('carries big values both ways', async () => {
      const big = 'ü'.repeat(2_500_000);

      const { rows } = await query('SELECT $1::text AS big', [big]);
      const many = await query(`SELECT repeat('x', 1000) AS line FROM generate_series(1, 5000)`);

      expect((rows as [{ big: string }])[0].big === big).toBe(true);
      expect(many.rows).toHaveLength(5000);
    });
  });

  describe('LISTEN and NOTIFY', () => {
    const listener = async (channel: string) => {
      const client = await database.pool.connect();
      const heard: string[] = [];
      client.on('notification', ({ payload }) => heard.push(payload ?? ''));
      await client.query(`-- a comment first, as in BullMQ's files\nLISTEN ${channel}`);
      return { client, heard };
    };

    it('reach every client that listens on the channel, and none that does not', async () => {
      const [one, two, other] = [await listener('news'), await listener('news'), await listener('"Other:News"')];

      await query(`SELECT pg_notify('news', 'hello')`);
      await query(`SELECT pg_notify('Other:News', 'elsewhere')`);

      await eventually(() => expect(other.heard).toEqual(['elsewhere']));
      expect([one.heard, two.heard]).toEqual([['hello'], ['hello']]);
      for (const { client } of [one, two, other]) client.release(true);
    });

    it('go on for one client when another stops listening', async () => {
      const [stays, stops] = [await listener('news'), await listener('news')];

      await stops.client.query('UNLISTEN news');
      await query(`NOTIFY news, 'later'`);

      await eventually(() => expect(stays.heard).toEqual(['later']));
      expect(stops.heard).toEqual([]);
      for (const { client } of [stays, stops]) client.release(true);
    });

    it('are told only after the commit', async () => {
      const { client: listening, heard } = await listener('news');

      await withClient(async (client) => {
        await client.query('BEGIN');
        await client.query(`NOTIFY news, 'never'`);
        await client.query('ROLLBACK');
        await client.query('BEGIN');
        await client.query(`NOTIFY news, 'at last'`);
        expect(heard).toEqual([]);
        await client.query('COMMIT');
      });

      await eventually(() => expect(heard).toEqual(['at last']));
      listening.release(true);
    });
  });
});
