import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { bearer, firstKey } from '../support/keys.js';

describe('API keys', () => {
  let server: TestApp;
  let admin: Record<string, string>;

  beforeAll(async () => {
    server = await startTestApp({ environment: { AUTH_MODE: 'required' } });
    admin = bearer(await firstKey(server));
  });
  afterAll(() => server.close());

  const make = async (fields: object = {}) =>
    (await server.post('/api/v1/auth/keys', { name: 'a key', role: 'viewer', ...fields }, admin)).body;
  const me = (key: string) => server.get('/api/v1/auth/me', bearer(key));

  it('are shown once, with 192 random bits after their prefix', async () => {
    const { status, headers, body } = await server.post(
      '/api/v1/auth/keys',
      { name: 'Build server', role: 'operator' },
      admin,
    );

    expect(status).toBe(201);
    expect(headers.location).toBe(`/api/v1/auth/keys/${body.id}`);
    expect(body.key).toMatch(new RegExp(`^fd_${body.prefix}_[0-9a-f]{48}$`));
    const { body: shown } = await server.get(headers.location as string, admin);
    expect(shown).toEqual({ ...body, key: undefined, last_used_at: null });
    expect(shown).not.toHaveProperty('secret_hash');
  });

  it('are kept as SHA-256 only', async () => {
    const { key } = await make();
    const secret = key.split('_')[2];

    const tables = ['api_keys', 'events', 'idempotency_keys'];
    const dumps = await Promise.all(
      tables.map((table) => server.database.query<{ row: string }>(`SELECT t::text AS row FROM ${table} t`)),
    );

    expect(
      dumps
        .flat()
        .map(({ row }) => row)
        .join(),
    ).toContain(key.split('_')[1]);
    expect(
      dumps
        .flat()
        .map(({ row }) => row)
        .join(),
    ).not.toContain(secret);
  });

  it('are sealed where an answer is kept for a retry, which gets it again', async () => {
    const headers = { ...admin, 'idempotency-key': 'create once' };
    const first = await server.post('/api/v1/auth/keys', { name: 'once', role: 'viewer' }, headers);
    const again = await server.post('/api/v1/auth/keys', { name: 'once', role: 'viewer' }, headers);
    const kept = await server.database.query<{ body: string }>('SELECT body FROM idempotency_keys');

    expect(again.body).toEqual(first.body);
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(kept.map(({ body }) => body).join()).not.toContain(first.body.key.split('_')[2]);
  });

  it("are no way to another's answer: an Idempotency-Key is its caller's own", async () => {
    const other = bearer((await make({ role: 'admin' })).key);
    const headers = { 'idempotency-key': 'the same' };
    const fields = { name: 'Twice', role: 'viewer' };

    const first = await server.post('/api/v1/auth/keys', fields, { ...admin, ...headers });
    const second = await server.post('/api/v1/auth/keys', fields, { ...other, ...headers });

    expect(second.headers).not.toHaveProperty('idempotency-replayed');
    expect(second.body.id).not.toBe(first.body.id);
  });

  it('say who is calling', async () => {
    const { id, key, prefix } = await make({ name: 'Ada', role: 'operator' });

    const { body } = await me(key);

    expect(body).toEqual({
      kind: 'api_key',
      id,
      name: 'Ada',
      role: 'operator',
      project_id: null,
      agent_id: null,
      key_prefix: prefix,
      expires_at: null,
    });
    expect((await server.get('/api/v1/auth/me', { 'x-api-key': key })).body).toEqual(body);
  });

  it('are the actor of what they do', async () => {
    const { id, key } = await make({ role: 'operator' });

    const { body: project } = await server.post('/api/v1/projects', { name: 'Of a key' }, bearer(key));

    expect(await server.events({ project_id: project.id })).toMatchObject([{ actor_type: 'api_key', actor_id: id }]);
  });

  it('are over once they are revoked, and stay in the list', async () => {
    const { id, key } = await make({ name: 'to be revoked' });
    expect((await me(key)).status).toBe(200);

    expect((await server.request('DELETE', `/api/v1/auth/keys/${id}`, undefined, admin)).status).toBe(204);

    expect((await me(key)).status).toBe(401);
    const { body } = await server.get('/api/v1/auth/keys?search=to%20be%20revoked', admin);
    expect(body).toMatchObject([{ id, is_active: false, revoked_at: expect.any(String) }]);
  });

  it('are over when they expire', async () => {
    const { id, key } = await make({ expires_at: new Date(Date.now() + 3_600_000).toISOString() });
    expect((await me(key)).status).toBe(200);
    await server.database.query(`UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = $1`, [id]);
    const { body } = await server.get(`/api/v1/auth/keys/${id}`, admin);
    expect(body.is_active).toBe(false);

    // What a server knows of a key is believed for less than a second.
    await eventually(async () => expect((await me(key)).status).toBe(401));
    expect((await server.post(`/api/v1/auth/keys/${id}/rotate`, {}, admin)).body.code).toBe('api_key_over');
  });

  it('are rotated with an overlap, in which both secrets are valid', async () => {
    const { id, key } = await make();

    const { body } = await server.post(`/api/v1/auth/keys/${id}/rotate`, { overlap_seconds: 3600 }, admin);

    expect(body.key).not.toBe(key);
    expect(body).toMatchObject({ id, previous_valid_until: expect.any(String) });
    expect((await me(key)).status).toBe(200);
    expect((await me(body.key)).status).toBe(200);

    const { body: third } = await server.post(`/api/v1/auth/keys/${id}/rotate`, { overlap_seconds: 0 }, admin);

    expect(third.previous_valid_until).toBeNull();
    const statuses = await Promise.all([key, body.key, third.key].map(async (each) => (await me(each)).status));
    expect(statuses).toEqual([401, 401, 200]);
  });

  it('leave their whole life in the log, without secrets', async () => {
    const { id, key, prefix } = await make();
    await server.post(`/api/v1/auth/keys/${id}/rotate`, {}, admin);
    await server.request('DELETE', `/api/v1/auth/keys/${id}`, undefined, admin);

    const events = await server.database.query<{ type: string; data: object }>(
      `SELECT type, data FROM events WHERE data->>'key_id' = $1 ORDER BY events.txid, seq`,
      [id],
    );

    expect(events.map(({ type }) => type)).toEqual(['api_key_created', 'api_key_rotated', 'api_key_revoked']);
    for (const { data } of events) expect(data).toMatchObject({ key_id: id, prefix });
    expect(JSON.stringify(events)).not.toContain(key.split('_')[2]);
  });

  it.each([
    ['no credential', {}, 'credential_missing'],
    ['another kind of Authorization', { authorization: 'Basic YTpi' }, 'credential_missing'],
    ['no key', bearer('nonsense'), 'credential_refused'],
    ['an unknown key', bearer(`fd_${'0'.repeat(12)}_${'0'.repeat(48)}`), 'credential_refused'],
  ])('refuse %s with a problem document', async (_name, headers, code) => {
    const answer = await server.get('/api/v1/tasks', headers);

    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.body).toMatchObject({ status: 401, code, instance: '/api/v1/tasks' });
  });

  it('refuse a wrong secret as an unknown key', async () => {
    const { prefix } = await make();
    const of = async (key: string) => {
      const { body } = await me(key);
      return { ...body, request_id: null };
    };

    expect(await of(`fd_${prefix}_${'0'.repeat(48)}`)).toEqual(await of(`fd_${'0'.repeat(12)}_${'0'.repeat(48)}`));
  });

  it.each([
    [{ name: '', role: 'viewer' }, '/name'],
    [{ name: 'x', role: 'king' }, '/role'],
    [{ name: 'x', role: 'viewer', project_id: '01890000-0000-7000-8000-000000000000' }, '/project_id'],
    [{ name: 'x', role: 'agent', agent_id: '01890000-0000-7000-8000-000000000000' }, '/agent_id'],
    [{ name: 'x', role: 'viewer', agent_id: '01890000-0000-7000-8000-000000000000' }, '/agent_id'],
    [{ name: 'x', role: 'viewer', expires_at: '2020-01-01T00:00:00Z' }, '/expires_at'],
  ])('are not made from %j', async (fields, pointer) => {
    const { status, body } = await server.post('/api/v1/auth/keys', fields, admin);

    expect([status, body.errors.map((error: { pointer: string }) => error.pointer)]).toEqual([422, [pointer]]);
  });

  it('of an admin of one project are made and seen there only', async () => {
    const { body: project } = await server.post('/api/v1/projects', { name: 'Mine' }, admin);
    const { body: other } = await server.post('/api/v1/projects', { name: 'Theirs' }, admin);
    const mine = bearer((await make({ role: 'admin', project_id: project.id })).key);
    const theirs = await make({ project_id: other.id });

    const { body: made } = await server.post('/api/v1/auth/keys', { name: 'x', role: 'viewer' }, mine);
    const stolen = { name: 'x', role: 'viewer', project_id: other.id };

    expect(made.project_id).toBe(project.id);
    expect((await server.post('/api/v1/auth/keys', stolen, mine)).status).toBe(422);
    expect((await server.get(`/api/v1/auth/keys/${theirs.id}`, mine)).status).toBe(404);
    expect((await server.request('DELETE', `/api/v1/auth/keys/${theirs.id}`, undefined, mine)).status).toBe(404);
    expect((await server.post(`/api/v1/auth/keys/${theirs.id}/rotate`, {}, mine)).status).toBe(404);
    const { body: list } = await server.get('/api/v1/auth/keys', mine);
    expect(list.map(({ project_id }: { project_id: string }) => project_id)).toEqual([project.id, project.id]);
  });

  it('of a project are revoked with it', async () => {
    const { body: project } = await server.post('/api/v1/projects', { name: 'Short' }, admin);
    const { key } = await make({ project_id: project.id });
    expect((await me(key)).status).toBe(200);

    await server.request('DELETE', `/api/v1/projects/${project.id}`, undefined, admin);

    expect((await me(key)).status).toBe(401);
  });
});

describe('with AUTH_MODE=off', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it('everybody may do everything, and is told so', async () => {
    expect((await server.get('/api/v1/auth/me')).body).toMatchObject({ kind: 'anonymous', id: null, role: 'admin' });
    expect((await server.post('/api/v1/auth/keys', { name: 'x', role: 'admin' })).status).toBe(201);
  });

  it('a credential is not looked at', async () => {
    expect((await server.get('/api/v1/tasks', bearer('nonsense'))).status).toBe(200);
  });
});
