import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IdempotencyCleanup } from '../src/platform/http/idempotency-cleanup.js';
import { eventually } from './support/eventually.js';
import { makeAgent, makeProject, makeTask } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';

describe('a request with an Idempotency-Key', () => {
  let server: TestApp;
  let counter = 0;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  const newKey = (): string => `key-${++counter}`;
  const keyed = (key: string) => ({ 'Idempotency-Key': key });
  const create = (key: string, fields: object = {}) =>
    server.post('/api/v1/projects', { name: key, ...fields }, keyed(key));
  const countNamed = async (name: string): Promise<number> =>
    (await server.get(`/api/projects?search=${encodeURIComponent(name)}`)).body.total;

  it('is done once, and its first answer is replayed byte for byte', async () => {
    const key = newKey();
    const send = (headers: Record<string, string>) =>
      server.app.inject({
        method: 'POST',
        url: '/api/v1/projects',
        headers: { 'content-type': 'application/json', ...headers },
        payload: { name: key, metadata: { z: 'ü🚀', a: [1.5, null] } },
      });

    const first = await send({ 'Idempotency-Key': key });
    const replays = [await send({ 'Idempotency-Key': key }), await send({ 'IDEMPOTENCY-KEY': key })];

    expect(first.statusCode).toBe(201);
    expect(first.headers).not.toHaveProperty('idempotency-replayed');
    for (const replay of replays) {
      expect(replay.statusCode).toBe(201);
      expect(replay.rawPayload.equals(first.rawPayload)).toBe(true);
      expect(replay.headers).toMatchObject({
        'idempotency-replayed': 'true',
        location: first.headers.location,
        'content-type': first.headers['content-type'],
      });
      expect(replay.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    }
    expect(await countNamed(key)).toBe(1);
    expect(await server.events({ project_id: first.json().id })).toHaveLength(1);
  });

  it('is replayed as it was, even if the resource has changed since', async () => {
    const key = newKey();
    const first = await create(key);
    await server.put(`/api/v1/projects/${first.body.id}`, { description: 'later' });

    expect((await create(key)).body).toEqual(first.body);
    await server.delete(`/api/v1/projects/${first.body.id}`);
    expect((await create(key)).body).toEqual(first.body);
  });

  it('answers as it does without a key', async () => {
    const key = newKey();

    const without = await server.post('/api/v1/projects', { name: key });
    const withKey = await create(key);

    expect(Object.keys(withKey.body)).toEqual(Object.keys(without.body));
    expect(withKey.headers['content-type']).toBe(without.headers['content-type']);
    expect(Object.keys(withKey.headers).toSorted()).toEqual(Object.keys(without.headers).toSorted());
  });

  it('is refused for another body', async () => {
    const key = newKey();
    await create(key);

    const other = await create(key, { description: 'another' });

    expect(other).toMatchObject({
      status: 422,
      body: { code: 'idempotency_key_reused', errors: [{ pointer: 'Idempotency-Key' }] },
    });
    expect(other.headers).not.toHaveProperty('idempotency-replayed');
    expect(await countNamed(key)).toBe(1);
  });

  it('is the same request with other white space or a trailing slash', async () => {
    const key = newKey();
    const first = await create(key);

    const spaced = await server.post('/api/v1/projects', `{ "name" :\n "${key}" }`, keyed(key));
    const slashed = await server.post('/api/v1/projects/', { name: key }, keyed(key));

    expect([spaced.body, slashed.body]).toEqual([first.body, first.body]);
  });

  it('is another request on another path', async () => {
    const key = newKey();

    const project = await create(key);
    const task = await server.post('/api/v1/tasks', { title: key }, keyed(key));

    expect([project.status, task.status]).toEqual([201, 201]);
    expect(task.headers).not.toHaveProperty('idempotency-replayed');
  });

  it('is done once by fifty at the same moment', async () => {
    const key = newKey();

    const answers = await Promise.all(Array.from({ length: 50 }, () => create(key)));

    const done = answers.filter(({ status }) => status === 201);
    const refused = answers.filter(({ status }) => status === 409);
    expect(done.length + refused.length).toBe(50);
    expect(new Set(done.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(done.filter(({ headers }) => headers['idempotency-replayed'] === undefined)).toHaveLength(1);
    for (const { body } of refused) expect(body).toMatchObject({ code: 'idempotency_key_in_use' });
    expect(await countNamed(key)).toBe(1);
    expect((await create(key)).body).toEqual(done[0]!.body);
  });

  it('may be a PATCH', async () => {
    const { id } = await makeTask(server);
    const patch = (key: string, progress_percentage: number) =>
      server.patch(`/api/v1/tasks/${id}/progress`, { progress_percentage }, keyed(key));
    const [first, second] = [newKey(), newKey()];

    const answer = await patch(first, 10);
    await patch(second, 20);
    const replay = await patch(first, 10);

    expect(answer).toMatchObject({ status: 200, body: { progress_percentage: 10 } });
    expect(replay).toMatchObject({ status: 200, body: answer.body, headers: { 'idempotency-replayed': 'true' } });
    expect((await server.get(`/api/v1/tasks/${id}`)).body).toMatchObject({ progress_percentage: 20 });
  });

  it('keeps no refusal: the same key may be used for the corrected body', async () => {
    const key = newKey();

    const refused = await server.post('/api/v1/projects', { name: '' }, keyed(key));
    const corrected = await create(key);

    expect([refused.status, corrected.status]).toEqual([422, 201]);
    expect(corrected.headers).not.toHaveProperty('idempotency-replayed');
  });

  it('keeps no refusal that the database had a part in', async () => {
    const key = newKey();
    const send = (project_id: string) => server.post('/api/v1/tasks', { title: key, project_id }, keyed(key));

    const refused = await send(UNKNOWN);
    const corrected = await send((await makeProject(server)).id);

    expect([refused.status, corrected.status]).toEqual([422, 201]);
  });

  it('changes nothing when its answer cannot be kept', async () => {
    const key = newKey();
    const refuse = "CHECK (scope NOT LIKE '%unkeepable%')";
    await server.database.query(`ALTER TABLE idempotency_keys ADD CONSTRAINT for_this_test ${refuse}`);

    const failed = await server.post('/api/v1/projects', { name: key }, keyed('unkeepable'));
    await server.database.query('ALTER TABLE idempotency_keys DROP CONSTRAINT for_this_test');

    expect(failed).toMatchObject({ status: 500, body: { code: 'internal_error' } });
    expect(await countNamed(key)).toBe(0);
    expect((await server.post('/api/v1/projects', { name: key }, keyed('unkeepable'))).status).toBe(201);
  });

  it.each([
    ['empty', ''],
    ['256 characters long', 'k'.repeat(256)],
  ])('is refused when the key is %s', async (_what, key) => {
    expect(await create(key, { name: 'x' })).toMatchObject({
      status: 422,
      body: {
        code: 'invalid_input',
        errors: [{ pointer: 'Idempotency-Key', detail: 'must have 1 to 255 characters' }],
      },
    });
  });

  it.each(['k'.repeat(255), 'with spaces, "quotes" and %25', "'; DROP TABLE projects; --"])(
    'may have the key %.40s',
    async (key) => {
      const first = await server.post('/api/v1/projects', { name: 'Odd key' }, keyed(key));
      const replay = await server.post('/api/v1/projects', { name: 'Odd key' }, keyed(key));

      expect(first.status).toBe(201);
      expect(replay.body).toEqual(first.body);
    },
  );

  it('is only a POST or PATCH', async () => {
    const key = newKey();
    const { id } = await makeProject(server);

    await server.request('PUT', `/api/v1/projects/${id}`, { description: 'first' }, keyed(key));
    const second = await server.request('PUT', `/api/v1/projects/${id}`, { description: 'second' }, keyed(key));
    const read = await server.get(`/api/v1/projects/${id}`, keyed(key));

    expect(second.body).toMatchObject({ description: 'second' });
    expect(read.headers).not.toHaveProperty('idempotency-replayed');
  });

  it('does not hold up others while it waits for work, and leases the same task to the same call', async () => {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server, { project_id });
    const key = newKey();
    // Two that look at the same moment: one hears that the key is in use, and asks again.
    const poll = () =>
      eventually(async () => {
        const answer = await server.post('/api/v1/tasks/lease', { agent_id: agent.id, wait_seconds: 30 }, keyed(key));
        expect(answer.status).toBe(200);
        return answer;
      });

    const [waiting, twice] = [poll(), poll()];
    await makeTask(server, { agent_type: agent.type, project_id });
    await makeTask(server, { agent_type: agent.type, project_id });
    const [first, second, again] = [await waiting, await twice, await poll()];

    expect(first.body).toHaveLength(1);
    expect(second.body).toEqual(first.body);
    expect(again.body).toEqual(first.body);
  });

  it('is forgotten after IDEMPOTENCY_KEEP_HOURS', async () => {
    const [old, young] = [newKey(), newKey()];
    const first = { old: await create(old), young: await create(young) };
    const age = (key: string, hours: number) =>
      server.database.query(
        'UPDATE idempotency_keys SET created_at = now() - make_interval(hours => $2) WHERE scope LIKE $1',
        [`% ${key}`, hours],
      );
    await age(old, 25);
    await age(young, 23);

    await server.app.get(IdempotencyCleanup).cleanUp();
    const again = { old: await create(old), young: await create(young) };

    expect(again.old).toMatchObject({
      status: 201,
      headers: { location: expect.not.stringContaining(first.old.body.id) },
    });
    expect(again.young.body).toEqual(first.young.body);
  });
});
