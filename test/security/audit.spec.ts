import { request as httpRequest } from 'node:http';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { newId } from '../../src/platform/database/new-id.js';
import { eventually } from '../support/eventually.js';
import { makeAgent, makeProject, makeTask } from '../support/makers.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const CANARY = 'canary-7f3a9c1e5b';
const FORGED = '[Flightdeck] 1  - LOG [Auth] everybody is admin';
const HOSTILE = [
  `line\n${FORGED}`,
  `return\r\n${FORGED}`,
  `\u001b[2K\u001b[1A${FORGED}`,
  `\u009b2K${FORGED}`,
  `\u2028${FORGED}`,
];

// oxlint-disable-next-line typescript/no-explicit-any
type Recorded = any;

describe('a record of the audit', () => {
  let server: TestApp;
  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  const recordOf = async (request_id: string): Promise<Recorded> => {
    const { body } = await server.get<Recorded[]>(`/api/v1/audit?request_id=${request_id}`);
    expect(body).toHaveLength(1);
    return body[0];
  };
  const put = async (url: string, body: object): Promise<Recorded> => {
    const request_id = newId();
    const { status } = await server.request('PUT', url, body, { 'x-request-id': request_id });
    expect(status).toBe(200);
    return recordOf(request_id);
  };
  /** Everything of the audit, as the database has it. */
  const everything = async (): Promise<string> => {
    const rows = await server.database.query(`SELECT * FROM events WHERE type = 'request_handled'`);
    return JSON.stringify(rows);
  };

  it('names no secret that a change carries, and says that it was cut out', async () => {
    const { id } = await makeProject(server, { metadata: { api_key: CANARY, deep: [{ password: CANARY }], kept: 1 } });

    const { changes } = await put(`/api/v1/projects/${id}`, {
      description: `Bearer ${CANARY} and postgres://ada:${CANARY}@db/x`,
      metadata: { api_key: `${CANARY}2`, deep: [{ password: `${CANARY}2` }], kept: 2 },
    });

    const cut = { $cut: 'secret' };
    expect(changes).toEqual({
      description: { before: null, after: 'Bearer *** and postgres://ada:***@db/x' },
      metadata: {
        before: { api_key: cut, deep: [{ password: cut }], kept: 1 },
        after: { api_key: cut, deep: [{ password: cut }], kept: 2 },
      },
    });
    expect(await everything()).not.toContain(CANARY);
  });

  it('has nothing of headers, queries and bodies, also of a refused request', async () => {
    const request_id = newId();
    const headers = {
      'x-request-id': request_id,
      authorization: `Bearer ${CANARY}`,
      cookie: `session=${CANARY}`,
      'user-agent': CANARY,
      'idempotency-key': CANARY,
    };

    await server.post(`/api/v1/projects?token=${CANARY}`, { name: '', metadata: { [CANARY]: CANARY } }, headers);
    await server.post(`/api/v1/nowhere?token=${CANARY}`, { name: CANARY });
    await server.post(`/api/v1/keys/fd_a1b2c3_${CANARY}`, {});

    expect(await recordOf(request_id)).toMatchObject({ status: 422 });
    expect(await everything()).not.toContain(CANARY);
  });

  it('has no lease token of an attempt that changed', async () => {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server, { project_id });
    const { id } = await makeTask(server, { project_id });
    const { body } = await server.post('/api/v1/tasks/lease', { agent_id: agent.id });
    const { token } = body[0].lease;

    await server.post(`/api/v1/tasks/${id}/lease/fail`, { lease_token: newId(), error: { message: 'Stale' } });
    await server.post(`/api/v1/tasks/${id}/lease/release`, { lease_token: token });

    expect(await everything()).not.toContain(token);
  });

  it('has a large value by its size only, before and after', async () => {
    const { id } = await makeTask(server, { input: { text: 'x'.repeat(20_000) }, description: 'short' });

    const { changes } = await put(`/api/v1/tasks/${id}`, {
      input: { text: 'y'.repeat(30_000) },
      description: 'z'.repeat(9_000),
    });

    expect(changes).toEqual({
      input: { before: { $cut: 'size', bytes: 20_011 }, after: { $cut: 'size', bytes: 30_011 } },
      description: { before: 'short', after: { $cut: 'size', bytes: 9_002 } },
    });
  });

  it('stays small when a bulk change gives a thousand tasks large values', async () => {
    const tasks = await Promise.all(Array.from({ length: 100 }, () => makeTask(server)));
    const request_id = newId();

    await server.patch(
      '/api/v1/tasks/bulk',
      { task_ids: tasks.map(({ id }) => id as string), updates: { description: 'x'.repeat(8_000) } },
      { 'x-request-id': request_id },
    );

    const record = await recordOf(request_id);
    expect(JSON.stringify(record).length).toBeLessThan(300_000);
    expect(record.other_changes.length).toBeGreaterThan(20);
    expect(record.other_changes.length + record.changes_left_out).toBe(100);
  });

  it.each(HOSTILE)('cannot be forged by a name or a key: %j', async (text) => {
    const before = (await server.get<Recorded[]>('/api/v1/audit?limit=1')).headers['x-total-count'];
    const { id } = await makeProject(server);

    const { changes } = await put(`/api/v1/projects/${id}`, { name: text });
    const request_id = newId();
    await server.request('POST', `/api/v1/agents/${encodeURIComponent(text)}/drain`, undefined, {
      'x-request-id': request_id,
    });

    expect(changes.name.after).toBe(text);
    expect((await recordOf(request_id)).subjects.agent_id).not.toMatch(/[\p{Cc}\u2028]/u);
    const { headers } = await server.get('/api/v1/audit?limit=1');
    // Of the project, its change and the agent that is not there: no more.
    expect(Number(headers['x-total-count'])).toBe(Number(before) + 3);
  });

  it('of a path without a route is one short line', async () => {
    const request_id = newId();

    await server.request('POST', `/api/v1/no%0A%1b[2K/${'x'.repeat(5_000)}`, {}, { 'x-request-id': request_id });

    const { path, route } = await recordOf(request_id);
    expect(route).toBeNull();
    expect(path).toMatch(/^\/api\/v1\/no%0A%1b.{10,}…$/);
    expect(path.length).toBeLessThan(300);
  });
});

describe('a line of the log', () => {
  let server: TestApp;
  let output = '';
  const spies = () =>
    [process.stdout, process.stderr].map((stream) =>
      vi.spyOn(stream, 'write').mockImplementation(((chunk: string) => {
        output += chunk;
        return true;
      }) as never),
    );
  afterEach(() => server.close());

  /** Asks for all that is hostile, and for a failure that quotes it. */
  async function attack(): Promise<void> {
    await server.database.query(`
      CREATE FUNCTION refuse_hostile() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no project may be called %', NEW.name; END $$;
      CREATE TRIGGER hostile BEFORE INSERT ON projects FOR EACH ROW EXECUTE FUNCTION refuse_hostile();`);
    for (const text of HOSTILE) {
      const { status } = await server.post('/api/v1/projects', { name: text }, { 'x-request-id': `x${newId()}` });
      expect(status).toBe(500);
      await server.post(`/api/v1/agents/${encodeURIComponent(text)}/drain`);
      await server.post(`/nowhere/${encodeURIComponent(text)}`, {}, { 'user-agent': encodeURIComponent(text) });
    }
  }

  it.each(['standard', 'json'])('cannot be forged in format %s', async (LOG_FORMAT) => {
    output = '';
    const spied = spies();
    try {
      server = await startTestApp({ environment: { LOG_LEVEL: 'debug', LOG_FORMAT } });
      await attack();
    } finally {
      for (const spy of spied) spy.mockRestore();
    }
    const lines = stripVTControlCharacters(output) === output ? output.split('\n') : ['escape sequences'];

    // What was sent is there to be found, but begins no line.
    expect(output).toContain('everybody is admin');
    expect(lines.filter((line) => line.startsWith('[Flightdeck] 1 '))).toEqual([]);
    // oxlint-disable-next-line no-control-regex
    expect(output.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/g)).toBeNull();
    if (LOG_FORMAT === 'json') for (const line of lines) if (line !== '') JSON.parse(line);
  });

  it('and a header with a line feed never gets as far as a line', async () => {
    server = await startTestApp({ isListening: true });
    const { hostname, port } = new URL(await server.listen());
    const answer = new Promise<number>((resolve, reject) => {
      const request = httpRequest({ hostname, port, method: 'POST', path: '/api/v1/projects' }, (response) => {
        response.resume();
        resolve(response.statusCode!);
      });
      request.on('error', reject);
      request.setHeader('x-request-id', `good-${'y'.repeat(500)}`);
      request.end();
    });

    expect(await answer).toBe(422);
    await eventually(async () => {
      const { body } = await server.get<Recorded[]>('/api/v1/audit');
      // An id that is not sane is not taken over.
      expect(body).toMatchObject([{ status: 422, request_id: expect.stringMatching(/^[\w-]{36}$/) }]);
    });
  });
});
