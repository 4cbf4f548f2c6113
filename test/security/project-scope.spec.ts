import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { GuardedClient } from '../../src/platform/database/guarded-client.js';
import { type ApiDocument, apiDocument, named, type Operation } from '../support/api-document.js';
import { bodyOf, type ForeignRequest, kindInPath, requestsWith } from '../support/foreign-requests.js';
import { bearer, firstKey } from '../support/keys.js';
import { type Answer, startTestApp, type TestApp } from '../support/test-app.js';
import { Caller, callerOf, populate, type Things, unknownLike } from '../support/two-projects.js';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const CANARY = 'canaryofb';
const MOST_TRIES = 3;
const ROLES = ['viewer', 'operator', 'agent', 'admin'];

// The committed document names the tests; that the server's own is the same, `npm run check` sees to.
const { paths } = JSON.parse(readFileSync('openapi.json', 'utf8')) as { paths: Record<string, object> };
const routes = Object.entries(paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
);

/** The versions do not differ in what the roles may do, so all of them are tried with the strongest and the narrowest. */
const routesOf = (role: string): string[] =>
  ['agent', 'admin'].includes(role) ? routes : routes.filter((route) => / \/api\/v1\//.test(route));

/** What the server does by itself, most of it again and again. */
const BACKGROUND = /^(read_events_after|find_api_keys|flush_signs_of_life|write_api_key_usage|next_ready_task|NOTIFY)/;
/** Of each answer its own. */
const OWN_HEADERS = /^(date|content-length|x-request-id|(x-)?ratelimit.*)$/;
const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi;
const TIME = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;

describe('a credential of one project', () => {
  let server: TestApp;
  let document: ApiDocument;
  let operations: Map<string, Operation>;
  let admin: Caller;
  let own: Things;
  let shared: Things;
  let foreign: Things;
  const callers = new Map<string, Caller>();
  let statements: string[] = [];

  beforeAll(async () => {
    // The jobs of a worker would be counted with the statements of requests.
    server = await startTestApp({ environment: { AUTH_MODE: 'required', ROLE: 'api' } });
    document = await apiDocument(server);
    operations = new Map(document.operations.map((operation) => [named(operation), operation]));
    admin = new Caller(server, bearer(await firstKey(server)));
    const project = async (name: string) => (await admin.post('/projects', { name })).id as string;
    own = await populate(admin, await project('A'), 'wordofa');
    shared = await populate(admin, null, 'wordofall');
    foreign = await populate(admin, await project(`${CANARY} project`), CANARY);
    // As requests leave it, so that the first one that changes it does not differ from the next.
    await admin.patch(`/agents/${own.agent[0]}/status`, { status: 'waiting', current_task_id: null });
    for (const role of ROLES) {
      const agent_id = role === 'agent' ? own.agent[0] : undefined;
      callers.set(role, (await callerOf(admin, role, own.project[0]!, agent_id)).caller);
    }
    // oxlint-disable-next-line typescript/no-explicit-any
    const { query } = GuardedClient.prototype as any;
    // oxlint-disable-next-line typescript/no-explicit-any
    vi.spyOn(GuardedClient.prototype, 'query').mockImplementation(function (this: unknown, ...args: any[]) {
      const [first] = args as [string | { name?: string; text: string }];
      const text = typeof first === 'string' ? first : (first.name ?? first.text);
      if (!BACKGROUND.test(text)) statements.push(text);
      return query.apply(this, args) as unknown;
    });
  });
  afterAll(async () => {
    vi.restoreAllMocks();
    await server.close();
  });

  const readOnly = ({ method, path }: Operation): boolean => method === 'GET' || path.endsWith('/validate');

  /** What may be known of an answer: all of it but what is its own, and what the caller sent. */
  const knowable = ({ status, headers, body }: Answer, value: string) => {
    const plain = (text: string) =>
      text
        .replaceAll(value, '<it>')
        .replace(UUID, '<id>')
        .replace(TIME, '<time>')
        .replace(/made \d+/g, '<name>');
    const theirs = Object.entries(headers).filter(([name]) => !OWN_HEADERS.test(name));
    return {
      status,
      headers: Object.fromEntries(theirs.map(([name, text]) => [name, plain(String(text))])),
      body: plain(JSON.stringify(body)),
    };
  };
  const measured = async (caller: Caller, { method, url, payload }: ForeignRequest, value: string) => {
    statements = [];
    const answer = await caller.request(method, url, payload);
    return { answer, seen: { ...knowable(answer, value), statements } };
  };
  /** All rows of a project, as text. */
  const contents = async (project_id: string) => {
    const ofRuns = 'SELECT r.id FROM workflow_runs r JOIN workflows w ON w.id = r.workflow_id WHERE w.project_id = $1';
    const tables = [
      'SELECT p::text AS row FROM projects p WHERE id = $1',
      // When it was seen is written a moment later.
      `SELECT (to_jsonb(a) - '{first_seen_at,last_seen_at,online_since}'::text[])::text AS row FROM agents a WHERE project_id = $1`,
      ...['tasks', 'workflows', 'api_keys'].map(
        (table) => `SELECT t::text AS row FROM ${table} t WHERE project_id = $1`,
      ),
      `SELECT r::text AS row FROM workflow_runs r WHERE id IN (${ofRuns})`,
      `SELECT s::text AS row FROM run_steps s WHERE run_id IN (${ofRuns})`,
      'SELECT d::text AS row FROM task_dependencies d WHERE task_id IN (SELECT id FROM tasks WHERE project_id = $1)',
      'SELECT a::text AS row FROM workflow_agents a WHERE workflow_id IN (SELECT id FROM workflows WHERE project_id = $1)',
    ];
    const found = await Promise.all(tables.map((text) => server.database.query<{ row: string }>(text, [project_id])));
    return found.flatMap((rows) => rows.map(({ row }) => row)).toSorted();
  };

  it('is tried at all routes of the server, each of which it knows how to fill', () => {
    const all = [...operations.values()].flatMap((operation) =>
      requestsWith(document, operation, own, foreign, (value) => value),
    );

    expect([...operations.keys()].toSorted()).toEqual(routes.toSorted());
    expect(all.length).toBeGreaterThan(500);
    expect(new Set(all.map(({ place }) => place)).size).toBeGreaterThan(25);
  });

  it('is tried with things that are there for those who may see them', async () => {
    const missing: string[] = [];
    for (const operation of operations.values()) {
      if (operation.method !== 'GET' || !operation.path.includes('{')) continue;
      for (const { url, place } of requestsWith(document, operation, foreign, foreign, (value) => value)) {
        const { status } = await admin.request('GET', url);
        // A run is of one of the workflows only.
        if (status !== 200 && place !== '?run_id') missing.push(`${url}: ${status}`);
      }
    }
    expect(missing).toEqual([]);
  });

  describe.each(ROLES)('%s', (role) => {
    it.each(routesOf(role))('%s: what is of another project is as unknown as what is not there', async (route) => {
      const caller = callers.get(role)!;
      const operation = operations.get(route)!;
      const before = await contents(foreign.project[0]!);
      const unknown = new Map(Object.values(foreign).flatMap((list) => list.map((it) => [it, unknownLike(it)])));
      const there = requestsWith(document, operation, own, foreign, (value) => value);
      const nowhere = requestsWith(document, operation, own, foreign, (value) => unknown.get(value)!);

      const differences: unknown[] = [];
      for (const [index, request] of there.entries()) {
        const { place, url, value } = request;
        for (let tries = 1; ; tries++) {
          const one = await measured(caller, request, value);
          const other = await measured(caller, nowhere[index]!, unknown.get(value)!);
          const told = JSON.stringify([one.answer.body, one.answer.headers]).replaceAll(value, '<it>');
          if (told.includes(CANARY)) differences.push({ place, url, told });
          if (JSON.stringify(one.seen) === JSON.stringify(other.seen)) break;
          // Something in the background may have come between; what makes a difference makes it each time.
          if (tries < MOST_TRIES) continue;
          differences.push({ place, url, there: one.seen, nowhere: other.seen });
          break;
        }
      }

      expect(differences).toEqual([]);
      expect(await contents(foreign.project[0]!)).toEqual(before);
    });
  });

  it('continues from a place in the list of another project without hearing of that', async () => {
    const caller = callers.get('admin')!;
    const lists = [...operations.values()].filter(
      ({ parameters, path }) => parameters.some(({ name }) => name === 'cursor') && !path.includes('{'),
    );
    for (const operation of lists) {
      const { headers, body } = await admin.request('GET', `${operation.path}?limit=1`);
      const given = (headers['x-next-cursor'] ?? body.next_cursor) as string;
      const [list, ...parts] = JSON.parse(Buffer.from(given, 'base64url').toString()) as [string, ...unknown[]];
      const [theirs] = await server.database.query<{ id: string; value: string }>(
        `SELECT id, created_at::text AS value FROM ${list} WHERE ${list === 'projects' ? 'id' : 'project_id'} = $1 LIMIT 1`,
        [foreign.project[0]],
      );
      const cursorAt = (id: string) =>
        Buffer.from(JSON.stringify([list, ...parts.slice(0, 2), theirs!.value, id, 1])).toString('base64url');
      const at = async (text: string) => {
        const request = {
          place: 'cursor',
          value: '',
          method: 'GET',
          url: `${operation.path}?limit=1000&cursor=${text}`,
        };
        const { answer, seen } = await measured(caller, { ...request, payload: undefined }, text);
        expect(JSON.stringify(answer.body)).not.toContain(CANARY);
        return seen;
      };

      const answer = await at(cursorAt(theirs!.id));

      expect(answer.status).toBe(200);
      expect(await at(cursorAt(randomUUID()))).toEqual(answer);
    }
    expect(lists.length).toBe(18);
  });

  it.each(routes.filter((route) => /(agents|tasks|workflows|runs)\/\{id\}/.test(route)))(
    '%s: what is shared is read, and not touched',
    async (route) => {
      const operation = operations.get(route)!;
      const caller = callers.get('admin')!;
      for (const thing of shared[kindInPath(operation, 'id')]) {
        const ask = async (id: string) => {
          const url = operation.path.replace('{id}', id).replace(/\{\w+\}/g, own.agent[0]!);
          return knowable(await caller.request(operation.method, url, bodyOf(operation, own)), id);
        };

        const answer = await ask(thing);

        if (readOnly(operation)) expect(answer.status).toBe(200);
        else expect(answer).toEqual(await ask(unknownLike(thing)));
      }
    },
  );
});
