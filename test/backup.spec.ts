import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createApp } from '../src/app.setup.js';
import { BackupRefused } from '../src/platform/backup/backup-format.js';
import { checkBackup, restoreBackup } from '../src/platform/backup/restore-backup.js';
import { writeBackup } from '../src/platform/backup/write-backup.js';
import { Environment } from '../src/platform/config/environment.js';
import { DatabasePool } from '../src/platform/database/database-pool.js';
import { EmbeddedDatabase } from '../src/platform/database/embedded/embedded-database.js';
import { migrate, revert } from '../src/platform/database/migrate.js';
import { EventLog } from '../src/platform/events/event-log.js';
import { decodePosition, encodePosition, isAfter } from '../src/platform/events/position.js';
import { eventually } from './support/eventually.js';
import { administer, withDatabase } from './support/global-setup.js';
import { complete, fail, lease, makeAgent, makeProject, makeTask, makeWorkflow } from './support/makers.js';
import { getRun, startRun, statuses, workOff } from './support/runs.js';
import { SocketClient } from './support/socket-client.js';
import { openTestDatabase, startTestApp, TestApp } from './support/test-app.js';

const NOBODY = { ENVIRONMENT: 'test', LOG_LEVEL: 'error', REDIS_URL: process.env.TEST_REDIS_URL ?? '' };
/** What a restore adds. */
const ADDED = ['event_log_restores'];

type Rows = Record<string, string[]>;

/** Every row of every table, as text, in one order. */
async function contentOf({ pool }: DatabasePool): Promise<Rows> {
  const { rows: tables } = await pool.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations' ORDER BY 1`,
  );
  const content: Rows = {};
  for (const { name } of tables) {
    const { rows } = await pool.query<{ row: string }>(`SELECT t::text AS row FROM "${name}" t ORDER BY 1`);
    content[name] = rows.map(({ row }) => row);
  }
  return content;
}

/** A database without any table. */
async function openEmptyDatabase(
  kind: 'embedded' | 'server',
): Promise<{ pool: DatabasePool; environment: Environment }> {
  const environment = Object.assign(new Environment(), NOBODY, { DATA_DIR: `in memory ${randomUUID()}` });
  if (kind === 'embedded') {
    return { pool: DatabasePool.embedded(await EmbeddedDatabase.inMemory()), environment };
  }
  const { url } = inject('template')!;
  const name = `flightdeck_restored_${randomUUID().replaceAll('-', '')}`;
  await administer(url, `CREATE DATABASE ${name}`);
  environment.DATABASE_URL = withDatabase(url, name);
  return { pool: await DatabasePool.open(environment), environment };
}

async function discard({ pool, environment }: { pool: DatabasePool; environment: Environment }): Promise<void> {
  await pool.close();
  if (environment.is_embedded) return;
  const name = new URL(environment.DATABASE_URL).pathname.slice(1);
  await administer(inject('template')!.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
}

const restore = async (pool: DatabasePool, file: string) => restoreBackup(pool, file, await checkBackup(file));

let folder: string;
let counter = 0;
const newFile = (): string => join(folder, `${++counter}.backup`);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flightdeck-backup-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a backup of a server in the middle of its work', () => {
  let server: TestApp;
  let file: string;
  let before: Rows;
  let run: Awaited<ReturnType<typeof startRun>>;
  /** As a dashboard holds it that is away when the server is lost. */
  let position: string;
  /** The same, with nothing missed. */
  let upToDate: string;
  let lost: string;

  beforeAll(async () => {
    server = await startTestApp();
    const client = await SocketClient.connect(await server.listen());
    const project = await makeProject(server, {
      name: 'Ünïcode \u2028 "quoted" \\ back',
      metadata: { deep: [1, { a: null }] },
    });
    const agent = await makeAgent(server, {
      tags: ['a', 'b,c', '{}'],
      configuration: { big: 'x'.repeat(100_000) },
    });
    const first = await makeTask(server, { project_id: project.id, agent_type: agent.type, input: { text: '\n\t' } });
    const second = await makeTask(server, { dependencies: [first.id], agent_type: agent.type });
    await makeTask(server, { dependencies: [first.id, second.id], scheduled_at: '2031-01-01T00:00:00Z' });
    await complete(server, (await lease(server, agent))[0]!, { output: { value: 0.1 + 0.2 }, quality_score: 7 });
    await fail(server, (await lease(server, agent))[0]!);
    await makeWorkflow(server, { project_id: project.id });
    await server.post('/api/v1/projects', { name: 'Once' }, { 'idempotency-key': 'one' });
    run = await startRun(server, [
      { key: 'list' },
      { key: 'each', depends_on: ['list'], for_each: 'steps.list.output', input: '${{ item }}' },
      { key: 'sum', depends_on: ['each'], input: '${{ steps.each.output }}' },
    ]);
    await complete(server, (await lease(server, run.agent))[0]!, { output: [1, 2, 3] });
    await complete(server, (await lease(server, run.agent))[0]!, { output: 'one' });
    ({ position } = await client.join('tasks'));
    await makeTask(server, { title: 'Missed' });

    const pool = server.app.get(DatabasePool);
    // The server writes down signs of life meanwhile: compared is a backup between two looks that saw the same.
    for (let content: Rows = {}; JSON.stringify(content) !== JSON.stringify(before); content = await contentOf(pool)) {
      upToDate = encodePosition(await server.app.get(EventLog).end());
      before = await contentOf(pool);
      file = newFile();
      await writeBackup(pool, file);
    }

    await makeTask(server, { title: 'Lost' });
    lost = encodePosition(
      (
        await server.database.query<never>('SELECT txid::text, seq FROM events ORDER BY txid DESC, seq DESC LIMIT 1')
      )[0]!,
    );
    client.close();
  });
  afterAll(() => server.close());

  const kinds = inject('template') ? (['embedded', 'server'] as const) : (['embedded'] as const);

  describe.each(kinds)('that is restored into an empty database (%s)', (kind) => {
    let target: { pool: DatabasePool; environment: Environment };
    let restored: TestApp;

    beforeAll(async () => {
      target = await openEmptyDatabase(kind);
      await restore(target.pool, file);
    });
    afterAll(async () => {
      await restored?.close();
      await discard(target);
    });

    it('is the same, row by row', async () => {
      const after = await contentOf(target.pool);

      expect(Object.keys(after)).toEqual(Object.keys(before));
      for (const [name, rows] of Object.entries(before)) {
        if (!ADDED.includes(name)) expect([name, after[name]]).toEqual([name, rows]);
      }
      expect(after.event_log_restores).toHaveLength(1);
      expect(Object.values(before).filter((rows) => rows.length > 0).length).toBeGreaterThan(9);
    });

    it('is guarded as before', async () => {
      await expect(target.pool.pool.query('DELETE FROM events')).rejects.toThrow('append-only');
      await expect(target.pool.pool.query('UPDATE events SET type = type')).rejects.toThrow('append-only');
    });

    it('works on a server: the run goes on to its end', async () => {
      await migrate(target.pool);
      const app = await createApp(target.environment, target.pool);
      restored = new TestApp(app, target.environment, async () => undefined);
      await restored.listen();
      // Whoever held a lease is another program now: it is known by its token, and works on.
      await workOff(restored, run.agent);

      const done = await getRun(restored, run.run_id);
      expect(done).toMatchObject({ status: 'completed' });
      expect(new Set(Object.values(statuses(done)))).toEqual(new Set(['completed']));
      expect(
        (await restored.post('/api/v1/projects', { name: 'Once' }, { 'idempotency-key': 'one' })).headers,
      ).toMatchObject({ 'idempotency-replayed': 'true' });
    });

    it('numbers new events after the restored ones', async () => {
      const { id } = await makeProject(restored);
      const [created] = await restored.events({ project_id: id });
      expect(isAfter(created!, decodePosition(lost, ''))).toBe(true);
      // But for the record of the request itself.
      const { rows } = await target.pool.pool.query(
        `SELECT count(*)::int AS count FROM events e
         WHERE ((e.txid, e.seq) > ($1::xid8, $2) OR e.seq > $2) AND e.metadata ->> 'request_id' IS DISTINCT FROM $3`,
        [created!.txid, created!.seq, created!.metadata.request_id],
      );
      expect(rows).toEqual([{ count: 0 }]);
    });

    it('lets sockets resume from a position of the lost server: what they missed, once, then what happens', async () => {
      const client = await SocketClient.connect(await restored.app.getUrl());

      const answer = await client.join('tasks', position);
      await makeTask(restored, { title: 'New' });
      await eventually(() => expect(client.payloads('task_created').at(-1).data.title).toBe('New'));

      expect(answer).toMatchObject({ position: expect.any(String) });
      expect(client.payloads('task_created').map(({ data }) => data.title)).toEqual(
        expect.arrayContaining(['Missed', 'New']),
      );
      const positions = client.received.map(({ payload }) => decodePosition(payload.position, ''));
      for (const [index, each] of positions.slice(1).entries()) expect(isAfter(positions[index]!, each)).toBe(false);
      client.close();
    });

    it('lets sockets resume that had missed nothing when the backup was made', async () => {
      const client = await SocketClient.connect(await restored.app.getUrl());

      expect(await client.join('tasks', upToDate)).toMatchObject({ position: expect.any(String) });
      client.close();
    });

    it('tells a socket with a position from after the backup that it saw what is not there any more', async () => {
      const client = await SocketClient.connect(await restored.app.getUrl());

      const answer = await client.join('tasks', lost);
      const again = await client.join('tasks', answer.oldest);
      await makeTask(restored, { title: 'After the gap' });

      expect(answer).toEqual({ room: 'tasks', gap: true, oldest: expect.any(String) });
      expect(again).toMatchObject({ position: expect.any(String) });
      await eventually(() => expect(client.payloads('task_created').at(-1).data.title).toBe('After the gap'));
      client.close();
    });

    it('can be backed up and restored again', async () => {
      const second = newFile();
      await restored.app.close();
      const content = await contentOf(target.pool);
      await writeBackup(target.pool, second);
      const other = await openEmptyDatabase('embedded');
      await restore(other.pool, second);
      const after = await contentOf(other.pool);
      await discard(other);

      expect({ ...after, event_log_restores: [] }).toEqual({ ...content, event_log_restores: [] });
      expect(after.event_log_restores).toHaveLength(2);
    });
  });

  it('can be read without this program', async () => {
    const lines = gunzipSync(await readFile(file))
      .toString()
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as unknown);

    expect(lines[0]).toEqual([
      'flightdeck-backup',
      expect.objectContaining({ version: 1, migrations: expect.any(Array) }),
    ]);
    expect(lines.at(-1)).toEqual(['sha256', expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect(lines.filter((one) => !Array.isArray(one)).length).toBe(Object.values(before).flat().length);
    if (process.platform !== 'win32') expect((await stat(file)).mode & 0o077).toBe(0);
  });

  it('is not written over another file', async () => {
    const content = await readFile(file);

    const writing = writeBackup(server.app.get(DatabasePool), file);

    await expect(writing).rejects.toThrow(BackupRefused);
    await expect(writing).rejects.toThrow('exists already');
    expect((await readFile(file)).equals(content)).toBe(true);
  });

  it('leaves no file behind when it fails', async () => {
    const { pool, dispose } = await openTestDatabase();
    await pool.pool.query('DROP TABLE migrations');
    const unfinished = newFile();

    await expect(writeBackup(pool, unfinished)).rejects.toThrow('nothing of Flightdeck');
    await dispose();

    expect(existsSync(unfinished)).toBe(false);
  });

  describe('that is not whole', () => {
    let target: { pool: DatabasePool; environment: Environment };
    beforeAll(async () => {
      target = await openEmptyDatabase('embedded');
    });
    afterAll(() => discard(target));

    const damaged = async (change: (text: string) => string | Buffer, zip = true): Promise<string> => {
      const changed = change(gunzipSync(await readFile(file)).toString());
      const damagedFile = newFile();
      await writeFile(damagedFile, zip ? gzipSync(changed) : changed);
      return damagedFile;
    };
    const cut = async (share: number): Promise<string> => {
      const content = await readFile(file);
      const cutFile = newFile();
      await writeFile(cutFile, content.subarray(0, Math.floor(content.length * share)));
      return cutFile;
    };

    it.each<[string, () => Promise<string>, RegExp]>([
      ['cut off in the middle', () => cut(0.5), /damaged or not complete/],
      ['cut off near its end', () => cut(0.999), /damaged or not complete/],
      ['empty', () => cut(0), /no backup|damaged/],
      [
        'changed by one character',
        () => damaged((text) => text.replace('"Missed"', '"Mixxed"')),
        /its checksum is another/,
      ],
      ['without its last line', () => damaged((text) => text.replace(/\["sha256.*\n$/, '')), /its end is missing/],
      ['without a row', () => damaged((text) => text.replace(/\n\{.*\n/, '\n')), /checksum/],
      ['another text', () => damaged(() => 'hello\n'), /no backup of Flightdeck/],
      ['not zipped', () => damaged((text) => text, false), /no backup of Flightdeck/],
      ['not there', () => Promise.resolve(join(folder, 'nowhere')), /There is no file/],
      [
        'from a newer version',
        () => damaged((text) => resigned(text.replace('"migrations":[', '"migrations":["AddWarpDrive9990000000000",'))),
        /newer Flightdeck .* AddWarpDrive9990000000000/,
      ],
      ['of a newer format', () => damaged((text) => resigned(text.replace('"version":1', '"version":2'))), /format 2/],
    ])('is refused when it is %s, and nothing has changed', async (_what, make, reason) => {
      const bad = await make();

      const restoring = restore(target.pool, bad);

      await expect(restoring).rejects.toThrow(BackupRefused);
      await expect(restoring).rejects.toThrow(reason);
      expect(await contentOf(target.pool)).toEqual({});
    });

    it('leaves nothing when it fails in the middle', async () => {
      const impossible = await damaged((text) =>
        resigned(text.replace('"status":"completed"', '"max_attempts":"many"')),
      );

      await expect(restore(target.pool, impossible)).rejects.toThrow();

      expect(await contentOf(target.pool)).toEqual({});
    });
  });

  it('is refused by a database that has data, which stays as it is', async () => {
    const { pool, dispose } = await openTestDatabase(Object.assign(new Environment(), NOBODY));
    await pool.pool.query(
      `INSERT INTO projects VALUES (gen_random_uuid(), now(), now(), 'Mine', NULL, 'active', '{}')`,
    );
    const content = await contentOf(pool);

    const restoring = restore(pool, file);

    await expect(restoring).rejects.toThrow(
      'The database is not empty: there are rows in projects. Nothing was changed',
    );
    expect(await contentOf(pool)).toEqual(content);
    await dispose();
  });

  it.skipIf(!inject('template'))('is refused by a database on which a server is running', async () => {
    const other = await startTestApp();
    const pool = await DatabasePool.open(other.environment);

    await expect(restore(pool, file)).rejects.toThrow('A Flightdeck is running on this database');
    await pool.close();
    await other.close();
  });

  it('may be of an older version: the tables are brought up to date afterwards', async () => {
    const old = await openEmptyDatabase('embedded');
    await migrate(old.pool);
    for (let count = 0; count < 3; count++) await revert(old.pool);
    await old.pool.pool.query(
      `INSERT INTO projects VALUES (gen_random_uuid(), now(), now(), 'Old', NULL, 'active', '{}')`,
    );
    const older = newFile();
    await writeBackup(old.pool, older);
    await discard(old);
    const { pool, dispose } = await openTestDatabase(Object.assign(new Environment(), NOBODY));

    await restore(pool, older);
    const { rows } = await pool.pool.query('SELECT name FROM projects');
    const { projects, workflow_runs } = await contentOf(pool);
    await dispose();

    expect(rows).toEqual([{ name: 'Old' }]);
    expect([projects!.length, workflow_runs]).toEqual([1, []]);
  });
});

/** With the checksum of what it says now. */
function resigned(text: string): string {
  const body = text.slice(0, text.lastIndexOf('["sha256"'));
  return `${body}["sha256","${createHash('sha256').update(body).digest('hex')}"]\n`;
}
