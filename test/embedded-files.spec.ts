import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DatabasePool } from '../src/platform/database/database-pool.js';
import { EmbeddedDatabase } from '../src/platform/database/embedded/embedded-database.js';
import { StartupError } from '../src/platform/errors/startup-error.js';

const NOBODY = 65_534;
const BUILT = resolve('dist/src/platform/database/embedded/embedded-database.js');

describe('the files of the embedded database', () => {
  let folder: string;
  let original: string;
  let home: string;
  const opened: DatabasePool[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flightdeck-files-'));
    original = join(folder, 'original');
    const database = await open(original);
    await database.pool.query(`CREATE TABLE notes AS SELECT 'kept' AS note`);
    await close(database);
  });
  beforeEach(async () => {
    home = join(folder, String(Math.random()));
    await cp(original, home, { recursive: true });
  });
  afterEach(() => Promise.all(opened.map(close)));
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function open(directory: string): Promise<DatabasePool> {
    const database = DatabasePool.embedded(await EmbeddedDatabase.open(directory));
    opened.push(database);
    return database;
  }

  async function close(database: DatabasePool): Promise<void> {
    opened.splice(opened.indexOf(database), 1);
    await database.close();
  }

  const noted = async ({ pool }: DatabasePool) => (await pool.query('SELECT note FROM notes')).rows;

  /** Every path below a folder with what is in it. */
  async function contents(directory: string): Promise<Record<string, string>> {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const read = entries.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      return [
        path,
        entry.isFile()
          ? createHash('sha256')
              .update(await readFile(path))
              .digest('hex')
          : 'no file',
      ];
    });
    return Object.fromEntries((await Promise.all(read)) as [string, string][]);
  }

  async function refusal(directory = home): Promise<string> {
    const error: unknown = await open(directory).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StartupError);
    return (error as StartupError).message;
  }

  it('keep what was committed, and nothing else', async () => {
    const first = await open(home);
    await first.pool.query(`INSERT INTO notes VALUES ('new')`);
    const client = await first.pool.connect();
    await client.query('BEGIN');
    await client.query(`INSERT INTO notes VALUES ('open')`);
    client.release();
    await close(first);

    expect(await noted(await open(home))).toEqual([{ note: 'kept' }, { note: 'new' }]);
  });

  it('belong to one server: a second one is told so, until the first has closed', async () => {
    const first = await open(home);

    expect(await refusal()).toBe(
      `Another Flightdeck is using the data directory ${home}. Stop it first, or set DATA_DIR to another folder.`,
    );
    await close(first);

    expect(await noted(await open(home))).toEqual([{ note: 'kept' }]);
  });

  it('belong to one of several that start at the same moment', async () => {
    const outcomes = await Promise.allSettled([open(home), open(home), open(home)]);

    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(StartupError);
    }
  });

  it('are free again after the server that held them was killed', async () => {
    const script = `import { EmbeddedDatabase } from ${JSON.stringify(BUILT)};
      await EmbeddedDatabase.open(${JSON.stringify(home)});
      console.log('open');
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');

    expect(await refusal()).toContain('Another Flightdeck');
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;

    expect(await readdir(home)).toContain('server.lock');
    expect(await noted(await open(home))).toEqual([{ note: 'kept' }]);
  });

  it('may lie at the end of a path too long for a local socket', async () => {
    const far = join(folder, 'far'.repeat(30), 'away'.repeat(30));

    const first = await open(far);
    await first.pool.query('CREATE TABLE notes (note text)');

    expect(await refusal(far)).toContain('Another Flightdeck');
    await close(first);
    expect(await noted(await open(far))).toEqual([]);
  });

  it('are made anew when the first start did not come to its end', async () => {
    await rm(join(home, 'postgres', 'global'), { recursive: true });
    await writeFile(join(home, 'postgres.unfinished'), '');

    const database = await open(home);

    await expect(noted(database)).rejects.toMatchObject({ code: '42P01' });
    expect(await readdir(home)).not.toContain('postgres.unfinished');
  });

  it.each([
    [
      'an overwritten control file',
      'is damaged',
      () => writeFile(join(home, 'postgres/global/pg_control'), 'x'.repeat(8192)),
    ],
    ['an empty control file', 'is damaged', () => writeFile(join(home, 'postgres/global/pg_control'), '')],
    ['no control file', 'is damaged', () => rm(join(home, 'postgres/global/pg_control'))],
    ['no write-ahead log', 'is damaged', () => rm(join(home, 'postgres/pg_wal'), { recursive: true })],
    ['no PG_VERSION', 'is not a Flightdeck database', () => rm(join(home, 'postgres/PG_VERSION'))],
    ['the files of another PostgreSQL', 'PostgreSQL 12', () => writeFile(join(home, 'postgres/PG_VERSION'), '12\n')],
    [
      'a file in place of the folder',
      'is not a Flightdeck database',
      async () => {
        await rm(join(home, 'postgres'), { recursive: true });
        await writeFile(join(home, 'postgres'), 'mine');
      },
    ],
  ])('are left as they are, with one sentence, when there is %s', async (_what, reason, damage) => {
    await damage();
    const before = await contents(home);

    const message = await refusal();

    expect(message).toContain(join(home, 'postgres'));
    expect(message).toContain(reason);
    expect(message).toMatch(/Nothing was changed/);
    expect(await contents(home)).toEqual(before);
  });

  it('are refused when DATA_DIR is a file', async () => {
    const file = join(folder, 'file');
    await writeFile(file, 'mine');

    expect(await refusal(file)).toContain(`The data directory ${file} cannot be`);
    expect(await readFile(file, 'utf8')).toBe('mine');
  });

  it.skipIf(!process.seteuid)('are refused when the folder cannot be written', async () => {
    const locked = join(folder, 'locked');
    await mkdir(locked);
    await chmod(folder, 0o755);
    await chmod(locked, 0o555);
    const isRoot = process.geteuid!() === 0;

    if (isRoot) process.seteuid!(NOBODY);
    const message = await refusal(locked).finally(() => isRoot && process.seteuid!(0));

    expect(message).toContain(`The data directory ${locked} cannot be`);
    expect((await stat(locked)).mode & 0o777).toBe(0o555);
    expect(await readdir(locked)).toEqual([]);
  });
});
