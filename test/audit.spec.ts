import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '../src/platform/database/new-id.js';
import { takeDatabaseAway } from './support/away-database.js';
import { eventually } from './support/eventually.js';
import { complete, lease, makeAgent, makeProject, makeTask, makeWorkflow } from './support/makers.js';
import { MUTATIONS } from './support/mutations.js';
import { SocketClient } from './support/socket-client.js';
import { startTestApp, type TestApp } from './support/test-app.js';

interface Operation {
  operationId: string;
  'x-audited'?: string;
  requestBody?: object;
}

interface Called {
  name: string;
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  operation: Operation;
}

// oxlint-disable-next-line typescript/no-explicit-any
type Recorded = any;

const UNKNOWN = '01890000-0000-7000-8000-000000000000';
const MUTATING = ['post', 'put', 'patch', 'delete'];

/** As the route is written in the code. */
const routeOf = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ':$1');

describe('the audit of requests', () => {
  let server: TestApp;
  let operations: Called[];

  beforeAll(async () => {
    server = await startTestApp();
    const { body } = await server.get<{ paths: Record<string, Record<string, Operation>> }>('/openapi.json');
    operations = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([method]) => MUTATING.includes(method))
        .map(([method, operation]) => ({
          name: `${method} ${path}`,
          method: method.toUpperCase() as Called['method'],
          path,
          operation,
        })),
    );
  });
  afterAll(() => server.close());

  const recordsOf = async (request_id: string): Promise<Recorded[]> =>
    (await server.get(`/api/v1/audit?request_id=${request_id}`)).body;
  const recordOf = async (request_id: string): Promise<Recorded> => {
    const records = await recordsOf(request_id);
    expect(records).toHaveLength(1);
    return records[0];
  };
  const send = async (method: Called['method'], url: string, body?: unknown, headers: Record<string, string> = {}) => {
    const request_id = newId();
    const answer = await server.request(method, url, body, { 'x-request-id': request_id, ...headers });
    return { ...answer, request_id };
  };
  const fill = (path: string, params: Record<string, string> = {}): string =>
    path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => params[name] ?? UNKNOWN);
  const eventsOfRequest = (request_id: string) =>
    server.database.query<{ type: string }>(
      `SELECT type FROM events WHERE metadata ->> 'request_id' = $1 AND type <> 'request_handled'`,
      [request_id],
    );

  describe('of every route that the document has', () => {
    const baseName = ({ operation }: Called): string => operation.operationId.replace(/_v\d+$/, '');
    /** Names what is wrong instead of the first of it. */
    const failures = async (check: (called: Called) => Promise<string | null>): Promise<string[]> => {
      const found: string[] = [];
      for (const called of operations) {
        const wrong = await check(called);
        if (wrong !== null) found.push(`${called.name}: ${wrong}`);
      }
      return found;
    };

    it('knows how to make each of them succeed', () => {
      expect(operations.length).toBeGreaterThan(100);
      expect(operations.filter((called) => !(baseName(called) in MUTATIONS)).map(({ name }) => name)).toEqual([]);
    });

    it('has exactly one record of each refusal, with its status and code', async () => {
      const wrong = await failures(async ({ method, path, operation }) => {
        // An id that nobody has, and a body without what is required.
        const answer = await send(method, fill(path), operation.requestBody && { name: '' });
        const records = await recordsOf(answer.request_id);
        if (answer.status < 400) return `was not refused: ${answer.status}`;
        if (records.length !== 1) return `${records.length} records`;
        const [{ status, code, route, method: recorded }] = records as [Recorded];
        const seen = [status, code, route, recorded];
        const expected = [answer.status, answer.body.code, routeOf(path), method];
        return JSON.stringify(seen) === JSON.stringify(expected)
          ? null
          : `${seen.join()} instead of ${expected.join()}`;
      });

      expect(wrong).toEqual([]);
    });

    it('has exactly one record of each success, beside the events of what it did', async () => {
      const wrong = await failures(async (called) => {
        const { params, body } = await MUTATIONS[baseName(called)]!(server);
        const answer = await send(called.method, fill(called.path, params), body);
        if (answer.status >= 300) return `failed: ${answer.status} ${JSON.stringify(answer.body)}`;
        const records = await recordsOf(answer.request_id);
        const events = await eventsOfRequest(answer.request_id);
        const isQuiet = called.operation['x-audited'] !== undefined;
        if (!isQuiet && events.length === 0) return 'no event';
        if (records.length !== (isQuiet ? 0 : 1)) return `${records.length} records`;
        return isQuiet || records[0].status === answer.status ? null : `status ${records[0].status}`;
      });

      expect(wrong).toEqual([]);
    });

    it('leaves out the successes of few, each with its reason', () => {
      const quiet = operations
        .filter(({ path }) => path.startsWith('/api/v1/'))
        .filter(({ operation }) => operation['x-audited'] !== undefined);

      expect(quiet.map(({ name }) => name)).toEqual([
        'post /api/v1/agents/{id}/heartbeat',
        'post /api/v1/tasks/lease',
        'post /api/v1/tasks/{id}/lease/heartbeat',
        'post /api/v1/workflows/{id}/validate',
      ]);
      for (const { operation } of quiet) expect(operation['x-audited']).toMatch(/^refusals only: .{10,}/);
    });
  });

  describe('also knows what was refused', () => {
    it.each([
      ['a path without a route', 'POST', '/api/v1/nowhere', {}, 404, 'route_not_found', '/api/v1/nowhere'],
      [
        'a method that the path does not have',
        'DELETE',
        '/api/v1/projects',
        undefined,
        405,
        'method_not_allowed',
        null,
      ],
      ['a body that is no JSON', 'POST', '/api/v1/projects', '{', 400, 'malformed_request', null],
      [
        'a body that is too large',
        'POST',
        '/api/v1/projects',
        { name: 'x'.repeat(1_100_000) },
        413,
        'body_too_large',
        null,
      ],
      ['text that is no text', 'POST', '/api/v1/projects', '{"name": "\\u0000"}', 422, 'invalid_input', null],
    ] as const)('%s', async (_what, method, url, body, status, code, path) => {
      const { request_id } = await send(method, url, body);

      expect(await recordOf(request_id)).toMatchObject({ method, status, code, ...(path && { route: null, path }) });
    });

    it('another media type', async () => {
      const { request_id } = await send('POST', '/api/v1/projects', 'name=Apollo', { 'content-type': 'text/plain' });

      expect(await recordOf(request_id)).toMatchObject({ status: 415, code: 'unsupported_media_type' });
    });

    it('a URL that cannot be read', async () => {
      const { request_id, status } = await send('POST', '/api/v1/tasks/%zz/cancel');

      expect(status).toBe(400);
      await eventually(async () =>
        expect(await recordsOf(request_id)).toMatchObject([
          { status: 400, route: null, path: '/api/v1/tasks/%zz/cancel', code: 'malformed_request' },
        ]),
      );
    });

    it('a conflict, of which nothing else is left', async () => {
      const agent = await makeAgent(server);

      const { request_id, status } = await send('POST', '/api/v1/agents', { name: agent.name, type: agent.type });

      expect(status).toBe(409);
      expect(await recordOf(request_id)).toMatchObject({ status: 409, changes: {}, subjects: {} });
      expect(await eventsOfRequest(request_id)).toEqual([]);
    });

    it('what the server failed at', async () => {
      await server.database.query('ALTER TABLE projects RENAME COLUMN status TO away');
      const { request_id, status } = await send('POST', '/api/v1/projects', { name: 'Apollo' });
      await server.database.query('ALTER TABLE projects RENAME COLUMN away TO status');

      expect(status).toBe(500);
      expect(await recordOf(request_id)).toMatchObject({ status: 500, code: 'internal_error' });
    });
  });

  describe('tells of a request', () => {
    it('who, where from, what about, how long, and where in the log', async () => {
      const { id: project_id } = await makeProject(server);

      const { request_id, body } = await send('POST', '/api/v1/tasks', { title: 'Write', project_id });

      expect(await recordOf(request_id)).toEqual({
        id: expect.any(String),
        actor_type: 'user',
        actor_id: null,
        role: null,
        key_prefix: null,
        method: 'POST',
        route: '/api/v1/tasks',
        path: null,
        status: 201,
        code: null,
        duration_ms: expect.any(Number),
        request_id,
        ip: '127.0.0.1',
        is_replay: false,
        subjects: { project_id, task_id: body.id },
        changes: {},
        other_changes: [],
        changes_left_out: 0,
        position: expect.any(String),
        handled_at: expect.any(String),
        created_at: expect.any(String),
      });
    });

    it('which agent it was, if it named itself', async () => {
      const { id: project_id } = await makeProject(server);
      const agent = await makeAgent(server, { project_id });
      const task = await makeTask(server, { project_id });
      const [leased] = await lease(server, agent);

      const { request_id } = await send('POST', `/api/v1/tasks/${task.id}/lease/complete`, {
        lease_token: leased!.lease.token,
      });

      expect(await recordOf(request_id)).toMatchObject({
        actor_type: 'agent',
        actor_id: agent.id,
        subjects: { task_id: task.id, agent_id: agent.id },
        changes: { status: { before: 'in_progress', after: 'completed' } },
      });
    });

    it('the id of an agent that was called by its key, and the key of one that is not there', async () => {
      const { id } = await makeAgent(server, { key: 'grace' });

      const known = await send('POST', '/api/v1/agents/grace/drain');
      const unknown = await send('POST', '/api/v1/agents/nobody/drain');

      expect((await recordOf(known.request_id)).subjects).toMatchObject({ agent_id: id });
      expect((await recordOf(unknown.request_id)).subjects).toEqual({ agent_id: 'nobody' });
    });

    it('that it was a retry which got the first answer again', async () => {
      const key = { 'idempotency-key': newId() };

      const first = await send('POST', '/api/v1/projects', { name: 'Once' }, key);
      const again = await send('POST', '/api/v1/projects', { name: 'Once' }, key);

      expect(again.body.id).toBe(first.body.id);
      expect(await recordOf(first.request_id)).toMatchObject({ status: 201, is_replay: false });
      expect(await recordOf(again.request_id)).toMatchObject({ status: 201, is_replay: true, subjects: {} });
    });
  });

  describe('shows what changed, before and after:', () => {
    const changesOf = async (method: Called['method'], url: string, body?: object): Promise<Recorded> => {
      const { request_id, status } = await send(method, url, body);
      expect(status).toBe(200);
      return recordOf(request_id);
    };

    it('of a project', async () => {
      const { id } = await makeProject(server, { name: 'Apollo', metadata: { crew: 3 } });

      const { changes } = await changesOf('PUT', `/api/v1/projects/${id}`, {
        name: 'Apollo',
        description: 'To the moon',
        metadata: { crew: 2 },
      });

      expect(changes).toEqual({
        description: { before: null, after: 'To the moon' },
        metadata: { before: { crew: 3 }, after: { crew: 2 } },
      });
    });

    it('of an agent, its status, its metrics and whether it drains', async () => {
      const { id } = await makeAgent(server, { model: 'small', tags: ['a'] });
      const url = `/api/v1/agents/${id}`;

      expect((await changesOf('PUT', url, { model: 'large', tags: ['a'] })).changes).toEqual({
        configuration: {
          before: expect.objectContaining({ model: 'small' }),
          after: expect.objectContaining({ model: 'large' }),
        },
      });
      expect((await changesOf('PATCH', `${url}/status`, { status: 'error' })).changes).toEqual({
        status: { before: 'idle', after: 'error' },
      });
      expect((await changesOf('PATCH', `${url}/metrics`, { tasks_failed: 2 })).changes).toEqual({
        tasks_failed: { before: 0, after: 2 },
      });
      expect((await changesOf('POST', `${url}/drain`)).changes).toEqual({
        is_draining: { before: false, after: true },
      });
    });

    it('of a task, its progress, its agent and its moves', async () => {
      const { id: agent_id } = await makeAgent(server);
      const { id } = await makeTask(server, { title: 'Write', input: { about: 'rain' } });
      const url = `/api/v1/tasks/${id}`;

      expect((await changesOf('PUT', url, { title: 'Rewrite', input: { about: 'snow' } })).changes).toEqual({
        title: { before: 'Write', after: 'Rewrite' },
        input: { before: { about: 'rain' }, after: { about: 'snow' } },
      });
      expect((await changesOf('PATCH', `${url}/progress`, { progress_percentage: 40 })).changes).toEqual({
        progress_percentage: { before: 0, after: 40 },
      });
      expect((await changesOf('PATCH', `${url}/assign`, { agent_id })).changes).toEqual({
        assigned_agent_id: { before: null, after: agent_id },
      });
      expect((await changesOf('PATCH', `${url}/status`, { status: 'in_progress' })).changes).toEqual({
        status: { before: 'pending', after: 'in_progress' },
        attempt: { before: 0, after: 1 },
      });
      expect((await changesOf('POST', `${url}/cancel`)).changes).toEqual({
        status: { before: 'in_progress', after: 'cancelled' },
      });
    });

    it('of a workflow, and of its run', async () => {
      const { id } = await makeWorkflow(server, { name: 'Review', steps: [{ key: 'write', agent_type: 'writer' }] });

      expect((await changesOf('PUT', `/api/v1/workflows/${id}`, { name: 'Preview' })).changes).toEqual({
        name: { before: 'Review', after: 'Preview' },
      });
      const { body } = await server.post(`/api/v1/workflows/${id}/execute`, {});
      expect(await changesOf('POST', `/api/v1/runs/${body.run.id}/pause`)).toMatchObject({
        subjects: { run_id: body.run.id, workflow_id: id },
        changes: { status: { before: 'running', after: 'paused' } },
      });
    });

    it('of who may do the tasks of a workflow, and of the secret of a key', async () => {
      const [{ id }, agent] = [await makeWorkflow(server), await makeAgent(server, { name: 'Ada' })];
      const { body: key } = await server.post('/api/v1/auth/keys', { name: 'to rotate', role: 'viewer' });
      const assigned = [{ id: agent.id, name: 'Ada' }];

      const [added, removed, rotated] = [
        await send('POST', `/api/v1/workflows/${id}/agents`, { agent_id: agent.id }),
        await send('DELETE', `/api/v1/workflows/${id}/agents/${agent.id}`),
        await send('POST', `/api/v1/auth/keys/${key.id}/rotate`, {}),
      ];

      const changes = await Promise.all(
        [added, removed, rotated].map(async ({ request_id }) => (await recordOf(request_id)).changes),
      );
      expect(changes).toEqual([
        { assigned_agents: { before: [], after: assigned } },
        { assigned_agents: { before: assigned, after: [] } },
        { previous_valid_until: { before: null, after: expect.stringMatching(/Z$/) } },
      ]);
    });

    it('of each task of a bulk change', async () => {
      const tasks = [await makeTask(server, { priority: 'low' }), await makeTask(server, { priority: 'medium' })];
      const task_ids = tasks.map(({ id }) => id as string);

      const { changes, other_changes, changes_left_out } = await changesOf('PATCH', '/api/v1/tasks/bulk', {
        task_ids,
        updates: { priority: 'high', status: 'cancelled' },
      });

      const status = { before: 'pending', after: 'cancelled' };
      expect(changes).toEqual({});
      expect(changes_left_out).toBe(0);
      expect(other_changes).toHaveLength(2);
      expect(other_changes).toEqual(
        expect.arrayContaining([
          { kind: 'task', id: task_ids[0], changes: { priority: { before: 'low', after: 'high' }, status } },
          { kind: 'task', id: task_ids[1], changes: { priority: { before: 'medium', after: 'high' }, status } },
        ]),
      );
    });

    it('and what a change brought with it', async () => {
      const first = await makeTask(server);
      const second = await makeTask(server, { dependencies: [first.id] });

      const { changes, other_changes } = await changesOf('POST', `/api/v1/tasks/${first.id}/cancel`);

      expect(changes).toEqual({ status: { before: 'pending', after: 'cancelled' } });
      expect(other_changes).toEqual([
        { kind: 'task', id: second.id, changes: { status: { before: 'blocked', after: 'skipped' } } },
      ]);
    });

    it('and says nothing of what was rolled back', async () => {
      const { id } = await makeTask(server);

      const { request_id } = await send('PATCH', '/api/v1/tasks/bulk', {
        task_ids: [id, UNKNOWN],
        updates: { title: 'Other' },
      });

      expect(await recordOf(request_id)).toMatchObject({ status: 422, changes: {}, other_changes: [] });
    });
  });

  describe('is read', () => {
    let task: { id: string; project_id: string };
    let own: Record<'created' | 'renamed' | 'refused', string>;
    const listed = async (query: string): Promise<string[]> =>
      (await server.get(`/api/v1/audit?${query}`)).body.map((record: Recorded) => record.request_id);

    beforeAll(async () => {
      const { id: project_id } = await makeProject(server);
      const created = await send('POST', '/api/v1/tasks', { title: 'Write', project_id });
      task = created.body as never;
      const renamed = await send('PUT', `/api/v1/tasks/${task.id}`, { title: 'Rewrite' });
      const refused = await send('POST', `/api/v1/tasks/${task.id}/lease/fail`, {
        lease_token: UNKNOWN,
        error: { message: 'It broke' },
      });
      own = { created: created.request_id, renamed: renamed.request_id, refused: refused.request_id };
    });

    it('newest first, by what it is about', async () => {
      expect(await listed(`task_id=${task.id}`)).toEqual([own.refused, own.renamed, own.created]);
      expect(await listed(`task_id=${task.id}&sort_order=asc`)).toEqual([own.created, own.renamed, own.refused]);
      // The refused one is known by its path alone; who made the project is before them.
      expect((await listed(`project_id=${task.project_id}`)).slice(0, 2)).toEqual([own.renamed, own.created]);
    });

    it.each([
      ['method=PUT', ['renamed']],
      ['status=409', ['refused']],
      ['status_class=2xx', ['renamed', 'created']],
      ['status_class=4xx', ['refused']],
      ['route=/api/v1/tasks/:id', ['renamed']],
      ['since=2000-01-01T00:00:00Z', ['refused', 'renamed', 'created']],
      ['until=2000-01-01T00:00:00Z', []],
      ['actor_id=nobody', []],
    ] as const)('filtered by %s', async (filter, expected) => {
      expect(await listed(`task_id=${task.id}&${filter}`)).toEqual(expected.map((name) => own[name]));
    });

    it('by the agent that acted', async () => {
      const { id: project_id } = await makeProject(server);
      const agent = await makeAgent(server, { project_id });
      const { id } = await makeTask(server, { project_id });
      await complete(server, (await lease(server, agent))[0]!);

      const { body } = await server.get(`/api/v1/audit?actor_id=${agent.id}`);

      expect(body).toMatchObject([{ route: '/api/v1/tasks/:id/lease/complete', subjects: { task_id: id } }]);
    });

    it('in pages, by cursor, each record once', async () => {
      const first = await server.get(`/api/v1/audit?task_id=${task.id}&limit=2`);
      const second = await server.get(
        `/api/v1/audit?task_id=${task.id}&limit=2&cursor=${String(first.headers['x-next-cursor'])}`,
      );

      expect(first.headers['x-total-count']).toBe('3');
      const ids = [...first.body, ...second.body].map(({ request_id }: Recorded) => request_id);
      expect(ids).toEqual([own.refused, own.renamed, own.created]);
      expect((await server.get(`/api/audit?task_id=${task.id}`)).body).toMatchObject({ total: 3, limit: 50 });
    });

    it.each(['method=GET', 'status=99', 'status_class=1xx', 'since=yesterday', 'task_id=1', 'sort_by=route'])(
      'not with %s',
      async (filter) => {
        expect((await server.get(`/api/v1/audit?${filter}`)).status).toBe(422);
      },
    );

    it('and reading leaves no record', async () => {
      const request_id = newId();

      await server.get('/api/v1/audit', { 'x-request-id': request_id });
      await server.get('/api/v1/tasks/nonsense', { 'x-request-id': request_id });
      await server.request('OPTIONS', '/api/v1/tasks', undefined, { 'x-request-id': request_id });

      expect(await recordsOf(request_id)).toEqual([]);
    });

    it('and it is no part of the history of what it is about', async () => {
      const { body } = await server.get(`/api/v1/tasks/${task.id}/events`);

      expect(body.map(({ type }: Recorded) => type)).toEqual(['task_updated', 'task_created']);
    });
  });

  it('keeps to the append-only log', async () => {
    await expect(server.database.pool.query(`DELETE FROM events WHERE type = 'request_handled'`)).rejects.toThrow(
      'append-only',
    );
  });

  it('writes the records of one moment together, and one for each', async () => {
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, index) => send('POST', '/api/v1/projects', { name: `Project ${index}` })),
    );

    const { body } = await server.get('/api/v1/audit?limit=1000');
    const recorded = new Set((body as Recorded[]).map(({ request_id }) => request_id));
    expect(answers.filter(({ request_id }) => !recorded.has(request_id))).toEqual([]);
    expect(await recordsOf(answers[0]!.request_id)).toHaveLength(1);
  });

  it('writes the record of a new task with the task, or not at all', async () => {
    const { request_id } = await send('POST', '/api/v1/tasks', { title: 'With its record' });
    const transactions = await server.database.query(
      `SELECT txid::text, array_agg(type ORDER BY type) AS types FROM events WHERE metadata ->> 'request_id' = $1 GROUP BY txid`,
      [request_id],
    );
    expect(transactions).toMatchObject([{ types: ['request_handled', 'task_created'] }]);

    const refuse = "CHECK (scope NOT LIKE '%unkeepable%')";
    await server.database.query(`ALTER TABLE idempotency_keys ADD CONSTRAINT for_this_test ${refuse}`);
    const key = { 'idempotency-key': 'unkeepable' };
    const undone = await send('POST', '/api/v1/tasks', { title: 'Rolled back' }, key);
    await server.database.query('ALTER TABLE idempotency_keys DROP CONSTRAINT for_this_test');
    const done = await send('POST', '/api/v1/tasks', { title: 'Rolled back' }, key);
    const again = await send('POST', '/api/v1/tasks', { title: 'Rolled back' }, key);

    expect(await recordOf(undone.request_id)).toMatchObject({ status: 500, subjects: {} });
    const subjects = { task_id: done.body.id };
    expect(await recordOf(done.request_id)).toMatchObject({ status: 201, is_replay: false, subjects });
    expect(await recordOf(again.request_id)).toMatchObject({ status: 201, is_replay: true });
  });
});

describe('the audit while the database is away', () => {
  let server: TestApp;
  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it('answers all the same, and writes each record once when it is back', async () => {
    const bringBack = takeDatabaseAway(server);
    const ids = Array.from({ length: 20 }, newId);
    const answers = [];
    for (const id of ids) {
      answers.push(await server.post('/api/v1/projects', { name: 'Apollo' }, { 'x-request-id': id }));
      answers.push(await server.post('/api/v1/projects', {}, { 'x-request-id': id }));
    }
    bringBack();

    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([422, 503]));
    await eventually(async () => {
      const { body } = await server.get('/api/v1/audit?limit=100');
      expect(body).toHaveLength(40);
    });
    const { body } = await server.get('/api/v1/audit?limit=100');
    for (const id of ids) {
      const own = (body as Recorded[]).filter(({ request_id }) => request_id === id);
      expect(own.map(({ status }) => status).sort((a, b) => a - b)).toEqual([422, 503]);
    }
  });

  it('writes what it kept before it stops', async () => {
    const own = await startTestApp();
    const bringBack = takeDatabaseAway(own);
    await own.post('/api/v1/projects', { name: 'Apollo' });
    bringBack();
    const { pool } = own.database;
    const rows = () => pool.query(`SELECT data FROM events WHERE type = 'request_handled'`);

    await own.app.close();

    expect((await rows()).rows).toMatchObject([{ data: { status: 503, code: 'database_unavailable' } }]);
    await own.close();
  });
});

describe('the audit on sockets', () => {
  let server: TestApp;
  beforeAll(async () => {
    server = await startTestApp({ isListening: true });
  });
  afterAll(() => server.close());

  it('tells those who watch the system, in short, and nobody else', async () => {
    const url = await server.listen();
    const task = await makeTask(server);
    await server.settle();
    const system = await SocketClient.connect(url);
    const others = await SocketClient.connect(url);
    await system.join('system');
    for (const room of ['dashboard', 'tasks', `task:${task.id}`]) await others.join(room);

    await server.put(`/api/v1/tasks/${task.id}`, { title: 'Rewrite' });

    const [payload] = await eventually(() => {
      const payloads = system.payloads('request_handled').filter(({ data }) => data.method === 'PUT');
      expect(payloads).toHaveLength(1);
      return payloads;
    });
    expect(payload.data).toEqual({
      method: 'PUT',
      route: '/api/v1/tasks/:id',
      status: 200,
      code: null,
      duration_ms: expect.any(Number),
      subjects: { task_id: task.id },
      actor_type: 'user',
      actor_id: null,
      request_id: expect.any(String),
    });
    await others.settle();
    expect(others.received.map(({ name }) => name)).toEqual(['task_updated']);
    system.close();
    others.close();
  });
});

describe('a server without audit', () => {
  let server: TestApp;
  beforeAll(async () => {
    server = await startTestApp({ environment: { ENABLE_REQUEST_AUDIT: false } });
  });
  afterAll(() => server.close());

  it('leaves no records', async () => {
    await makeProject(server);
    await server.post('/api/v1/projects', {});
    await server.post('/api/v1/tasks/%zz/cancel');

    expect((await server.get('/api/v1/audit')).body).toEqual([]);
  });
});
