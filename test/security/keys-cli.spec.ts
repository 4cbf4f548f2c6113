import { afterEach, describe, expect, it } from 'vitest';
import { bearer } from '../support/keys.js';
import { ServerProcess } from '../support/server-process.js';

/** Each call is a process, which makes a database of its own the first time. */
const TIMEOUT_MS = 180_000;

describe('npm run keys', { timeout: TIMEOUT_MS }, () => {
  let server: ServerProcess;
  afterEach(() => server.dispose());

  it('makes the first key, lists and revokes', async () => {
    server = await ServerProcess.prepare({ AUTH_MODE: 'required', LOG_LEVEL: 'warning' });
    const { stdout: key, stderr } = await server.keys('create', '--role', 'admin', '--name', 'me');
    expect(key).toMatch(/^fd_[0-9a-f]{12}_[0-9a-f]{48}\n$/);
    expect(stderr).toContain('admin, "me"');
    const prefix = key.slice(0, 15);
    const second = await server.createKey('viewer');

    expect((await server.keys('list')).stdout).toMatch(
      new RegExp(`viewer[^]*${prefix}_\\*\\*\\* +active +admin, "me"`),
    );
    await server.keys('revoke', second.slice(0, 15));
    expect((await server.keys('list')).stdout).toMatch(/revoked +viewer/);

    await expect(server.keys('revoke', 'fd_000000000000')).rejects.toMatchObject({ code: 1 });

    await server.start();
    const me = (token: string) => fetch(`${server.url}/api/v1/auth/me`, { headers: bearer(token) });
    expect(await (await me(key.trim())).json()).toMatchObject({ name: 'me', role: 'admin' });
    expect((await me(second)).status).toBe(401);
    const log = (await (
      await fetch(`${server.url}/api/v1/auth/keys`, { headers: bearer(key.trim()) })
    ).json()) as object[];
    expect(log).toHaveLength(2);
  });

  it.each([
    [[], 'npm run keys -- create'],
    [['create', '--name', 'x'], 'A role and a name are needed'],
    [['create', '--role', 'king', '--name', 'x'], 'A role and a name are needed'],
    [['create', '--role', 'viewer', '--name', 'x', '--project', '7'], '7 is no id'],
    [['create', '--role', 'viewer', '--name', 'x', '--expires', 'soon'], 'soon is no time'],
    [['revoke'], 'npm run keys -- create'],
  ])('says what is wrong with %j', async (args, reason) => {
    server = await ServerProcess.prepare();

    await expect(server.keys(...args)).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(reason) });
  });

  it('says who has the embedded database while a server runs', async (test) => {
    server = await ServerProcess.prepare();
    test.skip(server.environment.DATABASE_URL !== '', 'A real server is for many');
    await server.start();

    await expect(server.createKey()).rejects.toMatchObject({
      stderr: expect.stringMatching(
        /^Nothing was done: Another Flightdeck is using the data directory .* Stop it first/,
      ),
    });
  });
});
