import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Database } from '../../src/platform/database/database.js';
import { takeDatabaseAway } from '../support/away-database.js';
import { outputOf } from '../support/output.js';
import { type Method } from '../support/api-document.js';
import { SocketClient } from '../support/socket-client.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';
const CANARY = 'canary-7f3a';

const { paths } = JSON.parse(readFileSync('openapi.json', 'utf8')) as { paths: Record<string, object> };
const routes = Object.entries(paths)
  .filter(([path]) => path.startsWith('/api/v1/') || !path.startsWith('/api/'))
  .flatMap(([path, methods]) => Object.keys(methods).map((method) => [method.toUpperCase(), path] as [Method, string]));

/** What tells of the inside: stacks, files, statements, constraints, the driver, addresses and whatever is secret. */
const INSIDE = [
  /\bat \S+ \(/,
  /node_modules|node:internal|\.[tj]s\b|dist\/|src\//,
  /\b(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|WHERE \w)/,
  /relation "|column "|violates|constraint "|syntax error|SQLSTATE|\bpk_|\bfk_|\buq_/,
  /typeorm|QueryFailed|postgres:|pglite|ECONNREFUSED|10\.0\.0\.7/i,
  /TypeError|RangeError|undefined is not|Cannot read/,
  new RegExp(CANARY),
];

const told = (text: string): string[] => INSIDE.filter((pattern) => pattern.test(text)).map(String);

/** Bodies that are right enough to reach the database. */
const BODIES = [
  {},
  {
    name: 'x',
    title: 'x',
    type: 'x',
    status: 'active',
    agent_id: UNKNOWN,
    lease_token: UNKNOWN,
    progress_percentage: 1,
  },
  {
    name: 'x',
    title: 'x',
    status: 'cancelled',
    error: { message: 'x' },
    dependency_id: UNKNOWN,
    assigned_agent_id: UNKNOWN,
  },
  {
    status: 'paused',
    task_ids: [UNKNOWN],
    updates: { priority: 'high' },
    results: [{ task_id: UNKNOWN, lease_token: UNKNOWN }],
  },
];

async function answersOf(server: TestApp): Promise<{ route: string; status: number; text: string; type: string }[]> {
  const answers: { route: string; status: number; text: string; type: string }[] = [];
  for (const [method, path] of routes) {
    for (const body of method === 'GET' || method === 'DELETE' ? [undefined] : BODIES) {
      const {
        statusCode,
        body: text,
        headers,
      } = await server.app.inject({
        method,
        url: path.replaceAll(/\{\w+\}/g, UNKNOWN),
        ...(body && { payload: body }),
      });
      answers.push({ route: `${method} ${path}`, status: statusCode, text, type: String(headers['content-type']) });
    }
  }
  return answers;
}

describe('a failure tells nothing of the inside', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  /** Every way to the database gives what is said. */
  async function whileBroken(answer: () => Promise<unknown>, work: () => Promise<void>): Promise<void> {
    const database = server.app.get(Database);
    const runner = Object.getPrototypeOf(database.manager.connection.createQueryRunner()) as { query: () => unknown };
    const spies = [
      vi.spyOn(database, 'query').mockImplementation(answer as never),
      vi.spyOn(runner, 'query').mockImplementation(answer),
    ];
    try {
      await work();
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  }

  /** Every route, while something is broken. */
  async function expectSilence(isBroken: (status: number) => boolean): Promise<void> {
    let answers: Awaited<ReturnType<typeof answersOf>> = [];
    await outputOf(async () => {
      answers = await answersOf(server);
    });
    const failed = answers.filter(({ status }) => isBroken(status));

    // So many routes at least felt it.
    expect(new Set(failed.map(({ route }) => route)).size).toBeGreaterThan(25);
    for (const { route, status, text, type } of answers) {
      expect([route, told(text)]).toEqual([route, []]);
      if (status >= 400 && route.includes('/api/')) expect([route, type]).toEqual([route, 'application/problem+json']);
    }
  }

  it('when the database refuses every statement as broken', async () => {
    const broken = Object.assign(
      new Error(`syntax error at or near "${CANARY}" in SELECT secret FROM /srv/app/src/main.ts`),
      {
        code: '42601',
        detail: `Key (token)=(${CANARY}) violates constraint "uq_${CANARY}"`,
        query: `SELECT '${CANARY}'`,
        parameters: [CANARY],
      },
    );
    await whileBroken(
      () => Promise.reject(broken),
      () => expectSilence((status) => status === 500),
    );

    expect((await server.get('/api/v1/projects')).status).toBe(200);
  });

  it('when what the database answers makes no sense', async () => {
    await whileBroken(
      () => Promise.resolve([null]),
      () => expectSilence((status) => status === 500),
    );
  });

  it('when the database is away', async () => {
    const bringBack = takeDatabaseAway(server);
    try {
      await expectSilence((status) => status === 503);
    } finally {
      bringBack();
    }

    expect((await server.get('/api/v1/projects')).status).toBe(200);
  });

  it('when tables are gone', async () => {
    const other = await startTestApp();
    await other.database.query('DROP SCHEMA public CASCADE');
    const before = server;
    server = other;

    try {
      await expectSilence((status) => status === 500);
    } finally {
      server = before;
      await outputOf(() => other.close());
    }
  });

  it.each([
    ['GET', '/api/v1/tasks/%zz', undefined],
    ['GET', `/api/v1/tasks?cursor=${CANARY.slice(0, 3)}`, undefined],
    ['GET', '/docs/../../package.json', undefined],
    ['POST', '/api/v1/projects', '{"name":'],
    ['POST', '/api/v1/projects', '['],
    ['POST', '/api/v1/workflows', '{"name":"x","steps":[{"key":"a","when":"((("}]}'],
    ['POST', '/api/v1/workflows', '{"name":"x","steps":[{"key":"a","when":"process.env"}]}'],
    ['POST', '/api/v1/workflows', '{"name":"x","schedule":{"cron":"x"}}'],
    ['POST', '/api/v1/workflows', '{"name":"x","schedule":{"cron":"* * * * *","timezone":"/etc/passwd"}}'],
    ['POST', '/api/v1/projects', '{"name":"x","metadata":{"constructor":1}}'],
    ['POST', '/api/v1/tasks', `{"title":"x","project_id":"${UNKNOWN}"}`],
  ] as [Method, string, string | undefined][])('when the request is wrong: %s %s %s', async (method, url, payload) => {
    const { status, body } = await server.request(method, url, payload);

    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(told(JSON.stringify({ ...body, instance: '' }))).toEqual([]);
  });

  it('over a socket as well', async () => {
    const client = await SocketClient.connect(await server.listen());
    const broken = new Error(`SELECT '${CANARY}' FROM /srv/app/main.js`);

    let answer: Record<string, unknown> = {};
    await whileBroken(
      () => Promise.reject(broken),
      async () => {
        await outputOf(async () => {
          answer = await client.join('agent:some-key');
        });
      },
    );

    expect(answer).toMatchObject({ status: 500, code: 'internal_error' });
    expect(told(JSON.stringify(answer))).toEqual([]);
    client.close();
  });

  it('and no answer names the software behind it', async () => {
    for (const url of ['/', '/nowhere', '/api/v1/projects', '/docs', '/openapi.json']) {
      const { headers } = await server.get(url);

      expect(headers).not.toHaveProperty('server');
      expect(headers).not.toHaveProperty('x-powered-by');
    }
  });
});
