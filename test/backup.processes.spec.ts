import { createClient } from '@flightdeck/client';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { ServerProcess } from './support/server-process.js';

// Real processes start here, several in some tests.
vi.setConfig({ testTimeout: 120_000 });

describe('npm run backup and npm run restore', () => {
  let server: ServerProcess;
  let file: string;

  beforeEach(async () => {
    server = await ServerProcess.prepare();
    file = join(server.folder, 'all.backup');
  });
  afterEach(() => server.dispose());

  async function run(command: 'backup' | 'restore', args: string[], settings: NodeJS.ProcessEnv = {}) {
    const child = spawn(process.execPath, [resolve(`dist/src/platform/backup/${command}.cli.js`), ...args], {
      cwd: server.folder,
      env: { ...server.environment, ...settings },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return { code, output };
  }

  it('take a database from one place to another, embedded or not', async () => {
    await server.start();
    const { id } = await createClient({ url: server.url }).post('/api/v1/projects', { body: { name: 'Apollo' } });
    await server.signal('SIGTERM');

    const backup = await run('backup', [file]);
    const refused = await run('restore', [file]);
    const elsewhere = { DATABASE_URL: '', DATA_DIR: join(server.folder, 'elsewhere') };
    const restore = await run('restore', [file], elsewhere);

    expect(backup).toMatchObject({
      code: 0,
      output: expect.stringMatching(/^Wrote .+all\.backup: \d+ rows of \d+ tables/),
    });
    expect(refused).toMatchObject({ code: 1, output: expect.stringContaining('The database is not empty') });
    expect(restore).toMatchObject({ code: 0, output: expect.stringMatching(/^Restored \d+ rows of \d+ tables/) });

    const moved = await ServerProcess.prepare(elsewhere);
    await moved.start();
    const project = await createClient({ url: moved.url }).get('/api/v1/projects/{id}', { params: { path: { id } } });
    await moved.dispose();
    expect(project.name).toBe('Apollo');
  });

  it.skipIf(!inject('template'))('leave a server alone that is running meanwhile', async () => {
    await server.start();

    expect(await run('backup', [file])).toMatchObject({ code: 0 });
    expect((await fetch(`${server.url}/health/ready`)).status).toBe(200);
  });

  it.skipIf(inject('template'))('say that a running server has the embedded database to itself', async () => {
    await server.start();

    const { code, output } = await run('backup', [file]);

    expect(code).toBe(1);
    expect(output).toMatch(/^No backup was made: Another Flightdeck is using the data directory .+\. Stop it first/);
    expect(existsSync(file)).toBe(false);
  });

  it('make nothing out of nothing', async () => {
    const settings = { DATABASE_URL: '', DATA_DIR: join(server.folder, 'nowhere') };

    const { code, output } = await run('backup', [file], settings);
    const restore = await run('restore', [file], settings);

    expect([code, restore.code]).toEqual([1, 1]);
    expect(output).toContain('There is no database in');
    expect(restore.output).toMatch(/^Nothing was restored: There is no file/);
    expect([existsSync(file), existsSync(settings.DATA_DIR)]).toEqual([false, false]);
  });

  it('want one name', async () => {
    expect(await run('backup', [])).toMatchObject({ code: 1, output: 'Usage: npm run backup -- <file>\n' });
    expect(await run('restore', ['a', 'b'])).toMatchObject({ code: 1, output: 'Usage: npm run restore -- <file>\n' });
  });
});
