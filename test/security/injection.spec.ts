import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeCursor } from '../../src/platform/http/cursor.js';
import {
  type ApiDocument,
  apiDocument,
  isOfVersion1,
  named,
  type Operation,
  resolved,
} from '../support/api-document.js';
import { lease, makeAgent, makeKey, makeProject, makeTask, makeWorkflow } from '../support/makers.js';
import { startRun } from '../support/runs.js';
import { type Answer, startTestApp, type TestApp } from '../support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';
/** Each would change an answer, the data or the time if it came into a statement as part of it. */
const SQL = [
  "' OR '1'='1",
  "x' OR 1=1; --",
  "'; DROP TABLE tasks CASCADE; --",
  "'; UPDATE projects SET name = 'owned'; --",
  "' UNION SELECT NULL, version(), NULL --",
  '1; SELECT pg_sleep(30)',
  '(SELECT pg_sleep(30))',
  '$1',
  '$$; DROP TABLE tasks; $$',
  "\\'; DROP TABLE agents; --",
  'created_at; DROP TABLE workflows',
  'created_at DESC, (SELECT 1/0)',
  '/**/OR/**/1=1',
  '" OR ""="',
  'a\' COLLATE "C" --',
];
const XSS = '<script>alert(1)</script><img src=x onerror=alert(2)>"\'`&lt;';

describe('what a client sends is data', () => {
  let server: TestApp;
  let document: ApiDocument;
  let ids: Record<string, string>;
  const operations = (method?: string): Operation[] =>
    document.operations.filter((operation) => isOfVersion1(operation) && (!method || operation.method === method));

  beforeAll(async () => {
    // Nothing changes by itself while this looks whether something was changed.
    server = await startTestApp({ environment: { AGENT_OFFLINE_AFTER_SECONDS: 86_400 } });
    document = await apiDocument(server);
    ids = await makeSubjects(server);
  });
  afterAll(() => server.close());

  /** The path with ids that exist. */
  const filled = ({ path }: Operation): string =>
    path.replaceAll(/\{(\w+)\}/g, (_, name: string) => (name === 'id' ? ids[kindOf(path)]! : ids[name]!));

  /** How many rows each table has, and what they hold; without the records that requests leave. */
  async function contents(): Promise<Record<string, string>> {
    const tables = [
      'projects',
      'agents',
      'tasks',
      'task_dependencies',
      'workflows',
      'workflow_runs',
      'run_steps',
      'events',
    ];
    const found: Record<string, string> = {};
    for (const table of tables) {
      const volatile = `'{last_activity,updated_at,online_seconds,last_heartbeat}'::text[]`;
      const [row] = await server.database.query<{ count: string; hash: string }>(
        `SELECT count(*)::text, md5(string_agg(to_jsonb(t)::jsonb - ${volatile} #>> '{}', '' ORDER BY to_jsonb(t)::text)) AS hash FROM ${table} t
         WHERE to_jsonb(t) ->> 'type' IS DISTINCT FROM 'request_handled'`,
      );
      found[table] = `${row!.count} ${row!.hash}`;
    }
    return found;
  }

  it('finds the routes to attack', () => {
    expect(operations().length).toBeGreaterThan(50);
    expect(
      operations('GET').filter(({ parameters }) => parameters.some(({ name }) => name === 'cursor')).length,
    ).toBeGreaterThan(5);
  });

  it('in every query parameter of every list', async () => {
    const before = await contents();
    const wrong: string[] = [];

    for (const operation of operations('GET')) {
      const all = (await server.get<unknown>(filled(operation))).body;
      for (const { name, in: place } of operation.parameters) {
        if (place !== 'query') continue;
        for (const text of SQL) {
          const answer = await server.get<unknown>(`${filled(operation)}?${name}=${encodeURIComponent(text)}`);
          // As a filter it matches nothing; as all else it is no such value.
          const isRight = answer.status === 422 || (answer.status === 200 && isEmpty(answer.body));
          if (!isRight) wrong.push(`${named(operation)} ${name}=${text}: ${answer.status}`);
        }
      }
      expect([named(operation), (await server.get<unknown>(filled(operation))).status]).toEqual([
        named(operation),
        200,
      ]);
      if (Array.isArray(all) && !operation.path.includes('agents')) {
        expect((await server.get<unknown[]>(filled(operation))).body).toHaveLength(all.length);
      }
    }

    expect(wrong).toEqual([]);
    expect(await contents()).toEqual(before);
  });

  it('in every id of every path', async () => {
    const before = await contents();
    const wrong: string[] = [];

    for (const operation of operations()) {
      for (const [place] of operation.path.matchAll(/\{\w+\}/g)) {
        for (const text of SQL) {
          const url = filled({ ...operation, path: operation.path.replace(place, encodeURIComponent(text)) });
          const { status } = await server.request(operation.method, url, operation.body ? {} : undefined);
          if (status !== 422) wrong.push(`${named(operation)} ${text}: ${status}`);
        }
      }
    }

    expect(wrong).toEqual([]);
    expect(await contents()).toEqual(before);
  });

  it.each([
    ['projects', { name: '?', description: '?', metadata: { '?': '?' } }],
    [
      'agents',
      {
        name: '?',
        type: '?',
        description: '?',
        model: '?',
        tags: ['?'],
        capabilities: ['?'],
        configuration: { '?': '?' },
      },
    ],
    [
      'tasks',
      {
        title: '?',
        description: '?',
        instructions: '?',
        task_type: '?',
        agent_type: '?',
        tags: ['?'],
        input: { '?': ['?'] },
      },
    ],
    ['workflows', { name: '?', description: '?', workflow_type: '?', tags: ['?'], parameters: { '?': '?' } }],
  ])('in the bodies of %s, which are stored and found as they came', async (path, template) => {
    for (const text of [...SQL, XSS]) {
      const fields = JSON.parse(
        JSON.stringify(template).replaceAll('?', () => JSON.stringify(text).slice(1, -1)),
      ) as Record<string, unknown>;

      const { status, headers, body } = await server.post(`/api/v1/${path}`, fields);
      const answer = await server.get(`/api/v1/${path}/${body.id}`);
      const found = await server.get<{ id: string }[]>(`/api/v1/${path}?search=${encodeURIComponent(text)}`);

      expect(status).toBe(201);
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(answer.body).toMatchObject(fields);
      expect(found.body.map(({ id }) => id)).toEqual([body.id]);
      // Names must be unique, and others look for them.
      await server.delete(`/api/v1/${path}/${body.id}`);
    }
  });

  it('and markup is answered as JSON that no browser takes for a page, also in errors', async () => {
    const { body } = await server.post('/api/v1/projects', { name: XSS });
    const answers = [
      await server.get(`/api/v1/projects/${body.id}`),
      await server.get(`/api/v1/projects?search=${encodeURIComponent('<script>')}`),
      await server.get(`/api/v1/projects?sort_by=${encodeURIComponent(XSS)}`),
      await server.get(`/api/v1/projects/${encodeURIComponent(XSS)}`),
      await server.get(`/${encodeURIComponent(XSS)}`),
      await server.post('/api/v1/projects', XSS),
      await server.post('/api/v1/tasks', { title: 'x', assigned_agent_id: XSS }),
      await server.get('/api/v1/projects', { Accept: 'text/html', 'X-Request-Id': XSS }),
      await server.get('/openapi.json'),
    ];

    for (const { headers } of answers) {
      expect(headers['content-type']).toMatch(/^application\/(problem\+)?json/);
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['content-security-policy']).toContain("script-src 'self'");
      expect(headers['x-request-id']).not.toContain('<');
    }
  });

  describe('a forged cursor is refused or leads to an ordinary page', () => {
    const scope = { list: 'tasks', sort_by: 'created_at', sort_order: 'desc' as const, id: UNKNOWN, passed: 0 };
    const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const cursors: [string, string][] = [
      ...SQL.map((text): [string, string] => [`the value ${text}`, encodeCursor({ ...scope, value: text })]),
      ...SQL.map((text): [string, string] => [
        `the id ${text}`,
        encodeCursor({ ...scope, value: '2026-01-01', id: text }),
      ]),
      ...SQL.map((text): [string, string] => [
        `the order ${text}`,
        encodeCursor({ ...scope, value: '2026-01-01', sort_by: text }),
      ]),
      ...SQL.map((text): [string, string] => [
        `the list ${text}`,
        encodeCursor({ ...scope, value: '2026-01-01', list: text }),
      ]),
      ['another list', encodeCursor({ ...scope, list: 'projects', value: '2026-01-01' })],
      ['another order', encodeCursor({ ...scope, sort_by: 'title', value: 'x' })],
      ['another direction', encodeCursor({ ...scope, sort_order: 'asc', value: '2026-01-01' })],
      ['no value where there is always one', encodeCursor({ ...scope, value: null })],
      ['NUL', encodeCursor({ ...scope, value: '2026\u0000' })],
      ['half a surrogate pair', encodeCursor({ ...scope, value: '\ud800' })],
      ['a year that is none', encodeCursor({ ...scope, value: '999999-01-01' })],
      ['a negative count', encodeCursor({ ...scope, value: '2026-01-01', passed: -1 })],
      ['an immense count', encodeCursor({ ...scope, value: '2026-01-01', passed: 1e300 })],
      ['an object', encoded({ list: 'tasks' })],
      ['a prototype', '{"__proto__":[1,2,3,4,5,6]}'],
      ['a nested value', encoded(['tasks', 'created_at', 'desc', { toString: 'x' }, UNKNOWN, 0])],
      ['a list as the order', encoded(['tasks', ['created_at'], 'desc', 'x', UNKNOWN, 0])],
      ['10,000 levels', Buffer.from('['.repeat(1_400)).toString('base64url')],
      ['nothing', encoded([])],
      ['no base64', '%%%'],
      ['base64 of no JSON', Buffer.from('tasks').toString('base64url')],
    ];

    it.each(cursors)('%s', async (_what, cursor) => {
      const { status, body } = await server.get(`/api/v1/tasks?cursor=${encodeURIComponent(cursor)}`);

      expect(status).toBe(422);
      expect(body).toMatchObject({ code: 'invalid_input', errors: [{ pointer: 'cursor' }] });
    });

    it('of another list, wherever one is taken', async () => {
      const [own] = [encodeCursor({ ...scope, list: 'nothing', value: '2026-01-01' })];
      const lists = operations('GET').filter(({ parameters }) => parameters.some(({ name }) => name === 'cursor'));

      for (const operation of lists) {
        expect(await server.get(`${filled(operation)}?cursor=${own}`)).toMatchObject({
          status: 422,
          body: { errors: [{ pointer: 'cursor' }] },
        });
      }
    });
  });

  describe('no prototype is polluted', () => {
    const isClean = () =>
      expect([({} as Record<string, unknown>).polluted, ([] as unknown as Record<string, unknown>).polluted]).toEqual([
        undefined,
        undefined,
      ]);

    it.each([
      '{"name":"x","__proto__":{"polluted":true}}',
      '{"name":"x","constructor":{"prototype":{"polluted":true}}}',
      String.raw`{"name":"x","\u005f\u005fproto\u005f\u005f":{"polluted":true}}`,
      String.raw`{"name":"x","constr\u0075ctor":{"prototype":{"polluted":true}}}`,
      '{"name":"x","metadata":{"a":[{"__proto__":{"polluted":true}}]}}',
      '{"name":"x","metadata":{"a":{"constructor":{"prototype":{"polluted":true}}}}}',
      '{"__proto__":{"name":"x"}}',
      '{"name":{"__proto__":"x"}}',
    ])('by the body %s', async (text) => {
      for (const operation of operations().filter(({ body }) => body !== null)) {
        const { status, body } = await server.request(operation.method, filled(operation), text);

        expect([status, body.code]).toEqual([400, 'malformed_request']);
      }
      isClean();
    });

    it.each([
      '__proto__[polluted]=true',
      '__proto__.polluted=true',
      '__proto__=x',
      'constructor=x',
      'constructor[prototype][polluted]=true',
      'constructor.prototype.polluted=true',
      '%5f_proto__=x',
      'hasOwnProperty=x&toString=y&valueOf=z&then=t',
      '__proto__=a&__proto__=b',
    ])('by the query %s', async (query) => {
      for (const operation of operations('GET')) {
        // Also then what is wrong is seen.
        const parameter = operation.parameters.find(({ name }) => name === 'limit');
        const { status } = await server.get(`${filled(operation)}?${query}${parameter ? '&limit=nonsense' : ''}`);

        expect([named(operation), status]).toEqual([named(operation), parameter ? 422 : 200]);
      }
      isClean();
    });

    it('by keys that are inherited: they are data in free JSON, and nothing elsewhere', async () => {
      const odd = {
        prototype: { polluted: true },
        hasOwnProperty: 1,
        toString: 'x',
        valueOf: null,
        toJSON: 'z',
        length: -1,
      };

      const { status, body } = await server.post('/api/v1/projects', { name: 'Odd keys', metadata: odd, ...odd });

      expect(status).toBe(201);
      expect(body.metadata).toEqual(odd);
      isClean();
    });
  });

  describe('mass assignment', () => {
    /** The entity that a route writes, by the first word of its path. */
    const ENTITIES: Record<string, string[]> = {
      projects: ['Project'],
      auth: ['ApiKey'],
      agents: ['Agent'],
      tasks: ['Task'],
      workflows: ['Workflow', 'WorkflowRun', 'WorkflowAgent'],
      runs: ['WorkflowRun', 'RunStep'],
    };
    const MARK = 'assigned by a client';
    const MARKED_ID = '0badc0de-0bad-4bad-8bad-0badc0de0bad';
    const MARKED_TIME = '2001-02-03T04:05:06.007Z';
    const MARKED_NUMBER = 424_242;

    const marked = ({ type, isArray }: ColumnMetadata): unknown => {
      const value =
        type === 'uuid'
          ? MARKED_ID
          : type === 'integer' || type === 'bigint' || type === 'double precision' || type === Number
            ? MARKED_NUMBER
            : String(type).startsWith('timestamp')
              ? MARKED_TIME
              : type === 'boolean'
                ? true
                : String(type).startsWith('json')
                  ? { mark: MARK }
                  : MARK;
      return isArray ? [value] : value;
    };

    /** All rows, as text: whatever was taken over is somewhere in it. */
    async function everything(): Promise<string> {
      const tables = await server.database.query<{ name: string }>(
        `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
      );
      const texts = await Promise.all(
        tables.map(async ({ name }) => {
          const rows = await server.database.query<{ row: string }>(`SELECT to_jsonb(t)::text AS row FROM "${name}" t`);
          return rows.map(({ row }) => `${name}: ${row}`);
        }),
      );
      return texts.flat().join('\n');
    }

    /** What a route takes that is right: a route that is not here is attacked by none of these, and the test says so. */
    const right: Record<string, (made: Record<string, string>) => Record<string, unknown>> = {
      'POST /api/v1/auth/keys': () => ({ name: unique(), role: 'viewer' }),
      'POST /api/v1/auth/keys/{id}/rotate': () => ({}),
      'POST /api/v1/projects': () => ({ name: unique() }),
      'PUT /api/v1/projects/{id}': () => ({ description: 'x' }),
      'POST /api/v1/agents': () => ({ name: unique(), type: 'x' }),
      'PUT /api/v1/agents/{id}': () => ({ description: 'x' }),
      'PATCH /api/v1/agents/{id}/status': () => ({ status: 'active' }),
      'PATCH /api/v1/agents/{id}/metrics': () => ({ error_count: 1 }),
      'POST /api/v1/agents/{id}/heartbeat': () => ({ status: 'active' }),
      'POST /api/v1/agents/{id}/drain': () => ({}),
      'POST /api/v1/agents/{id}/resume': () => ({}),
      'POST /api/v1/tasks/lease': ({ agents }) => ({ agent_id: agents }),
      'POST /api/v1/tasks/lease/complete': ({ held, token }) => ({ results: [{ task_id: held, lease_token: token }] }),
      'POST /api/v1/tasks/{id}/lease/heartbeat': ({ token }) => ({ lease_token: token }),
      'POST /api/v1/tasks/{id}/lease/complete': ({ token }) => ({ lease_token: token }),
      'POST /api/v1/tasks/{id}/lease/fail': ({ token }) => ({ lease_token: token, error: { message: 'x' } }),
      'POST /api/v1/tasks/{id}/lease/release': ({ token }) => ({ lease_token: token }),
      'POST /api/v1/tasks': () => ({ title: 'x' }),
      'PATCH /api/v1/tasks/bulk': ({ tasks }) => ({ task_ids: [tasks], updates: { priority: 'high' } }),
      'PUT /api/v1/tasks/{id}': () => ({ description: 'x' }),
      'PATCH /api/v1/tasks/{id}/status': () => ({ status: 'cancelled' }),
      'PATCH /api/v1/tasks/{id}/progress': () => ({ progress_percentage: 5 }),
      'PATCH /api/v1/tasks/{id}/assign': ({ agents }) => ({ assigned_agent_id: agents }),
      'POST /api/v1/tasks/{id}/dependencies': ({ held }) => ({ dependency_id: held }),
      'POST /api/v1/tasks/{id}/cancel': () => ({}),
      'POST /api/v1/tasks/{id}/retry': () => ({}),
      'POST /api/v1/workflows': () => ({ name: unique() }),
      'PUT /api/v1/workflows/{id}': () => ({ description: 'x' }),
      'PATCH /api/v1/workflows/{id}/status': () => ({ status: 'inactive' }),
      'POST /api/v1/workflows/{id}/agents': ({ agents }) => ({ agent_id: agents }),
      'POST /api/v1/workflows/{id}/execute': () => ({}),
      'POST /api/v1/workflows/{id}/validate': () => ({}),
      'POST /api/v1/runs/{id}/pause': () => ({}),
      'POST /api/v1/runs/{id}/resume': () => ({}),
      'POST /api/v1/runs/{id}/cancel': () => ({}),
      'POST /api/v1/runs/{id}/rerun': () => ({}),
    };
    /** What must be as it says before the route is asked, and is not so at first. */
    const before: Record<string, string> = {
      'POST /api/v1/runs/{id}/resume': 'pause',
      'POST /api/v1/runs/{id}/rerun': 'cancel',
      'POST /api/v1/tasks/{id}/retry': 'cancel',
    };
    let counter = 0;
    const unique = (): string => `Mass ${++counter}`;
    const writing = (): Operation[] => operations().filter(({ method }) => method !== 'GET' && method !== 'DELETE');

    it('is tried on every route that takes something', () => {
      expect(writing().map(named).toSorted()).toEqual(Object.keys(right).toSorted());
    });

    it('takes over no column that is no field of the body', async () => {
      const entities = server.app.get(DataSource).entityMetadatas;
      const refused: string[] = [];

      for (const operation of writing()) {
        const made = await makeSubjects(server);
        const isLease = operation.path.includes('{id}/lease');
        const id = isLease ? made.held! : made[kindOf(operation.path)]!;
        const url = operation.path.replace('{id}', id);
        const first = before[named(operation)];
        if (first) await server.post(url.replace(/\w+$/, first));
        const fields = operation.body ? Object.keys(resolved(document, operation.body).properties ?? {}) : [];
        const columns = entities
          .filter(({ name }) => ENTITIES[kindOf(operation.path)]!.includes(name))
          .flatMap(({ columns }) => columns)
          .filter(({ propertyName }) => !fields.includes(propertyName));
        expect(columns.map(({ propertyName }) => propertyName)).toEqual(
          expect.arrayContaining(operation.path.includes('runs') ? ['id'] : ['id', 'created_at']),
        );
        const assigned = Object.fromEntries(columns.map((column) => [column.propertyName, marked(column)]));
        const body = right[named(operation)]!(made);

        const ask = () => server.request(operation.method, url, { ...assigned, ...body });

        let answer: Answer<{ errors?: { pointer: string }[] }> = await ask();
        // A few are named and refused, as they would be lost; then the others are looked at.
        for (const { pointer } of answer.body.errors ?? []) delete assigned[pointer.slice(1)];
        if (answer.status === 422) answer = await ask();

        if (answer.status >= 300) refused.push(`${named(operation)}: ${answer.status} ${JSON.stringify(answer.body)}`);
        for (const mark of [MARK, MARKED_ID, '2001-02-03', String(MARKED_NUMBER)]) {
          expect(`${named(operation)} ${JSON.stringify(answer.body)}`).not.toContain(mark);
        }
      }

      expect(refused).toEqual([]);
      const lines = (await everything()).split('\n');
      expect(lines.length).toBeGreaterThan(100);
      expect(
        lines.filter((line) =>
          [MARK, MARKED_ID, '2001-02-03', String(MARKED_NUMBER)].some((mark) => line.includes(mark)),
        ),
      ).toEqual([]);
    });

    it('sets no flag and no state that is no field of the body', async () => {
      const flags = {
        is_draining: true,
        is_held: true,
        is_blocked: true,
        is_active: false,
        is_deleted: true,
        lease_token: MARKED_ID,
      };
      const states = {
        status: 'completed',
        lease_expires_at: MARKED_TIME,
        attempt: 9,
        ready_at: MARKED_TIME,
        held_tasks: 9,
      };

      const task = await server.post('/api/v1/tasks', {
        title: 'x',
        ...flags,
        lease_expires_at: MARKED_TIME,
        attempt: 9,
        ready_at: MARKED_TIME,
      });
      const agent = await server.post('/api/v1/agents', {
        name: unique(),
        type: 'x',
        ...flags,
        ...states,
        status: 'idle',
      });
      const changed = await server.put(`/api/v1/agents/${agent.body.id}`, { ...flags, ...states, status: 'idle' });
      const rows = await server.database.query(
        'SELECT is_held, lease_token, lease_expires_at, attempt, status FROM tasks WHERE id = $1',
        [task.body.id],
      );

      expect([task.status, agent.status, changed.status]).toEqual([201, 201, 200]);
      expect(rows).toEqual([
        { is_held: false, lease_token: null, lease_expires_at: null, attempt: 0, status: 'pending' },
      ]);
      expect(changed.body).toMatchObject({ is_draining: false, is_active: true, status: 'idle' });
    });
  });
});

const isEmpty = (body: unknown): boolean => Array.isArray(body) && body.length === 0;

const kindOf = (path: string): string => /^\/api\/v1\/(\w+)/.exec(path)![1]!;

/** One of everything; `held` is a task with a lease, `token` its proof. */
async function makeSubjects(server: TestApp): Promise<Record<string, string>> {
  const agent = await makeAgent(server, { max_concurrent_tasks: 10 });
  await makeTask(server, { agent_type: agent.type });
  const [leased] = await lease(server, agent, { lease_seconds: 3600 });
  const run = await startRun(server, [{ key: 'a' }]);
  const runnable = await makeWorkflow(server, { steps: [{ key: 'a' }] });
  return {
    projects: (await makeProject(server)).id,
    auth: (await makeKey(server)).id,
    agents: agent.id,
    tasks: (await makeTask(server)).id,
    workflows: runnable.id,
    runs: run.run_id,
    held: leased!.task.id,
    token: leased!.lease.token,
    agent_id: agent.id,
    dependency_id: leased!.task.id,
  };
}
