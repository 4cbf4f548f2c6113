import { Controller, Get, Module, VERSION_NEUTRAL } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Public } from '../src/platform/access/access.decorator.js';
import { Database } from '../src/platform/database/database.js';
import { STATUS_OF } from '../src/platform/errors/describe-error.js';
import type { DomainErrorKind } from '../src/platform/errors/domain-error.js';
import { takeDatabaseAway } from './support/away-database.js';
import { HANGING_MS, within } from './support/eventually.js';
import { makeAgent, makeProject } from './support/makers.js';
import { outputOf } from './support/output.js';
import { type Answer, startTestApp, type TestApp } from './support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';
type Problem = Record<string, unknown>;

const MEMBERS = ['type', 'title', 'status', 'code', 'detail', 'instance', 'request_id', 'error'];

/** Fails as code with a bug does. */
@Public()
@ApiExcludeController()
@Controller({ path: 'failing', version: VERSION_NEUTRAL })
class FailingController {
  constructor(private readonly database: Database) {}

  @Get('error')
  error(): never {
    throw new Error('connect to postgres://admin:hunter2@10.0.0.7/secret failed in /srv/app/dist/main.js');
  }

  @Get('sql')
  sql(): Promise<unknown> {
    return this.database.query('SELECT hunter2 FROM secret_table');
  }

  @Get('text')
  text(): never {
    // oxlint-disable-next-line no-throw-literal, typescript/only-throw-error
    throw 'hunter2';
  }

  @Get('nothing')
  nothing(): never {
    // oxlint-disable-next-line no-throw-literal, typescript/only-throw-error
    throw undefined;
  }
}

@Module({ controllers: [FailingController] })
class FailingModule {}

/** Sends bytes as they are, and reads until the server closes. */
async function exchange(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(request, 'latin1');
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

describe('a failed request', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp({ environment: { LOG_FORMAT: 'json' }, extra: [FailingModule] });
  });
  afterAll(() => server.close());

  let url: Promise<string> | undefined;
  const listening = (): Promise<string> => (url ??= server.listen());

  const cases: [string, number, string, () => Promise<Answer<Problem>>][] = [
    ['broken JSON', 400, 'malformed_request', () => server.post('/api/v1/projects', '{')],
    ['a malformed URL', 400, 'malformed_request', () => server.get('/api/v1/tasks/%zz')],
    ['an unknown path', 404, 'route_not_found', () => server.get('/api/v1/nowhere?x=1')],
    ['an unknown id', 404, 'project_not_found', () => server.get(`/api/v2/projects/${UNKNOWN}`)],
    ['another method', 405, 'method_not_allowed', () => server.patch('/api/v1/projects', {})],
    [
      'a duplicate',
      409,
      'agent_exists',
      async () => {
        const { name, type } = await makeAgent(server);
        return server.post('/api/v1/agents', { name, type });
      },
    ],
    ['a large body', 413, 'body_too_large', () => server.post('/api/v1/projects', `"${'x'.repeat(1_048_577)}"`)],
    ['a very large body', 413, 'body_too_large', () => server.post('/api/v1/projects', `"${'x'.repeat(9_000_000)}"`)],
    [
      'another media type',
      415,
      'unsupported_media_type',
      () => server.post('/api/v1/projects', 'x', { 'content-type': 'text/css' }),
    ],
    ['a wrong field', 422, 'invalid_input', () => server.post('/api/projects', {})],
    [
      'an unknown reference',
      422,
      'unknown_reference',
      () => server.post('/api/v1/tasks', { title: 'x', project_id: UNKNOWN }),
    ],
    ['a bug', 500, 'internal_error', () => server.get('/api/failing/error')],
  ];

  it.each(cases)('is answered with a problem document: %s', async (_what, status, code, ask) => {
    let answer!: Answer<Problem>;
    await outputOf(async () => {
      answer = await ask();
    });
    const { headers, body } = answer;

    expect(headers['content-type']).toBe('application/problem+json');
    expect(Object.keys(body)).toEqual(expect.arrayContaining(MEMBERS));
    expect(body).toMatchObject({
      status,
      code,
      type: `urn:flightdeck:problem:${code}`,
      title: expect.stringMatching(/^[A-Z]/),
      detail: expect.stringMatching(/\w+ \w+|\w+: \w+/),
      error: body.detail,
      instance: expect.stringMatching(/^\/api\/[^?]+$/),
      request_id: headers['x-request-id'],
    });
  });

  it.each([
    ['an unknown method', 400, 'malformed_request', 'BREW /api/v1/projects HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['garbage', 400, 'malformed_request', '\u0016\u0003\u0001\r\n\r\n'],
    [
      'a broken length',
      400,
      'malformed_request',
      'POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
    ],
    ['a long URL', 431, 'headers_too_large', `GET /api/v1/tasks/${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
    ['a long header', 431, 'headers_too_large', `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`],
  ])('is answered with a problem document before it is routed: %s', async (_what, status, code, request) => {
    const answer = await exchange(await listening(), request);

    const [head, text] = answer.split('\r\n\r\n') as [string, string];
    const headers = head.toLowerCase();
    const body = JSON.parse(text) as Problem;
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} [A-Z]`));
    expect(headers).toContain('content-type: application/problem+json\r\n');
    expect(headers).toContain(`content-length: ${Buffer.byteLength(text)}\r\n`);
    expect(headers).toContain('connection: close');
    expect(headers).toContain(`x-request-id: ${String(body.request_id)}\r\n`);
    expect(Object.keys(body)).toEqual(expect.arrayContaining(MEMBERS));
    expect(body).toMatchObject({ status, code, instance: '', error: body.detail });
  });

  it('has the status of its document', async () => {
    const statuses: number[] = [];
    await outputOf(async () => {
      for (const [, , , ask] of cases) statuses.push((await ask()).status);
    });

    expect(statuses).toEqual(cases.map(([, status]) => status));
  });

  it('names the thing that does not exist', async () => {
    expect((await server.get(`/api/v1/tasks/${UNKNOWN}`)).body).toMatchObject({
      detail: `No task has the id ${UNKNOWN}`,
      task_id: UNKNOWN,
    });
  });

  it.each([
    ['PATCH', '/api/v1/projects', 'GET, HEAD, POST'],
    ['POST', `/api/v1/projects/${UNKNOWN}`, 'DELETE, GET, HEAD, PUT'],
    ['DELETE', '/health', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
    ['PUT', '/api/projects/', 'GET, HEAD, POST'],
    ['GET', '/api/v1/tasks/lease', 'POST'],
  ] as const)('tells which methods the path has: %s %s', async (method, path, allow) => {
    const answer = await server.request(method, path);

    // GET of tasks/lease is GET of tasks/:id.
    if (method === 'GET') expect(answer.status).toBe(422);
    else expect(answer).toMatchObject({ status: 405, headers: { allow }, body: { code: 'method_not_allowed' } });
  });

  it('names every field that is wrong by its pointer', async () => {
    const { body } = await server.post('/api/v1/tasks', {
      title: '',
      priority: 'whenever',
      retry: { factor: 0, jitter: 'yes' },
      tags: ['fine', ''],
      project_id: 'nonsense',
    });

    expect(body.status).toBe(422);
    const pointers = body.errors.map(({ pointer }: { pointer: string }) => pointer);
    expect(pointers).toEqual(
      expect.arrayContaining(['/title', '/priority', '/retry/factor', '/retry/jitter', '/project_id']),
    );
    for (const { detail } of body.errors) expect(detail).toMatch(/^(must|each|has)/);
  });

  it.each(['GET', 'PUT', 'DELETE'] as const)('is 422 for a malformed id: %s', async (method) => {
    for (const id of ['nonsense', '123', `${UNKNOWN}0`, 'a'.repeat(5000), UNKNOWN.replaceAll('-', '')]) {
      expect(await server.request(method, `/api/v1/tasks/${id}`, method === 'PUT' ? {} : undefined)).toMatchObject({
        status: 422,
        body: { code: 'invalid_input', errors: [{ pointer: 'id', detail: 'must be a UUID' }] },
      });
    }
  });

  it.each(['error', 'sql', 'text', 'nothing'])('shows nothing of the inside: %s', async (way) => {
    let answer!: Awaited<ReturnType<TestApp['get']>>;
    const log = await outputOf(async () => {
      answer = await server.get(`/api/failing/${way}`, { 'X-Request-Id': `failing-${way}` });
    });

    expect(answer.status).toBe(500);
    expect(answer.body).toEqual({
      type: 'urn:flightdeck:problem:internal_error',
      title: 'Internal Server Error',
      status: 500,
      code: 'internal_error',
      detail: 'The server failed; its log says why.',
      instance: `/api/failing/${way}`,
      request_id: `failing-${way}`,
      error: 'The server failed; its log says why.',
    });
    const lines = log
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toContainEqual(expect.objectContaining({ level: 'error', request_id: `failing-${way}` }));
  });

  it('of the client is no business of the error log', async () => {
    const log = await outputOf(async () => {
      await server.get('/api/v1/nowhere');
      await server.get('/%zz');
      await server.post('/api/v1/projects', '{');
      await server.post('/api/v1/projects', {});
    });

    expect(log).toBe('');
  });
});

describe('without a database', () => {
  let server: TestApp;
  let id: string;
  let bringBack: () => void;

  beforeAll(async () => {
    server = await startTestApp();
    ({ id } = await makeProject(server));
    bringBack = takeDatabaseAway(server);
  });
  afterAll(() => server.close());

  it.each([
    ['GET', '/api/v1/projects', undefined],
    ['GET', '/api/v1/tasks', undefined],
    ['GET', '/api/v1/agents/stats/summary', undefined],
    ['POST', '/api/v1/projects', { name: 'x' }],
    ['POST', '/api/v1/tasks', { title: 'x' }],
    ['POST', '/api/v1/tasks/lease', { agent_id: UNKNOWN, wait_seconds: 30 }],
    ['PATCH', `/api/v1/tasks/${UNKNOWN}/progress`, { progress_percentage: 1 }],
  ] as const)('%s %s is answered without a wait', async (method, path, body) => {
    const answer = await within(HANGING_MS, server.request(method, path, body));

    expect(answer).toMatchObject({
      status: 503,
      headers: { 'retry-after': expect.stringMatching(/^\d+$/), 'content-type': 'application/problem+json' },
      body: { code: 'database_unavailable', title: 'Service Unavailable' },
    });
  });

  it('a request with an Idempotency-Key is not hung either', async () => {
    const answer = await server.post('/api/v1/projects', { name: 'x' }, { 'Idempotency-Key': 'k' });

    expect(answer).toMatchObject({ status: 503, body: { code: 'database_unavailable' } });
  });

  it('what is wrong with the request is still said', async () => {
    expect((await server.post('/api/v1/projects', {})).status).toBe(422);
    expect((await server.get('/api/v1/projects/nonsense')).status).toBe(422);
    expect((await server.get('/nowhere')).status).toBe(404);
    expect((await server.get(`/api/v1/projects/${id}`)).status).toBe(503);
  });

  it('the server goes on as soon as there is one again', async () => {
    bringBack();

    expect((await server.get(`/api/v1/projects/${id}`)).status).toBe(200);
    expect((await server.post('/api/v1/projects', { name: 'Afterwards' })).status).toBe(201);
  });
});

describe('the list of codes', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.spec.ts'))
    .map((path) => readFileSync(`src/${path}`, 'utf8'));
  const errors = sources.flatMap((source) =>
    [...source.matchAll(/class (\w+) extends (?:DomainError|HttpException) \{(.*?)\n\}/gs)].map(([, name, body]) => ({
      name,
      code: /(?:readonly code = |errorCode: )'([^']*)'/.exec(body!)?.[1],
      kind: /readonly kind = '(\w+)'/.exec(body!)?.[1] as DomainErrorKind | undefined,
    })),
  );
  const listed = [...readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `(\w+)` +\| (\d{3}) +\| (.+?) *\|$/gm)].map(
    ([, code, status, meaning]) => ({ code: code!, status: Number(status), meaning: meaning! }),
  );
  /** Those that have no class of their own. */
  const others = ['method_not_allowed', 'unsupported_media_type', 'internal_error'];

  it('is found', () => {
    expect(errors.length).toBeGreaterThan(20);
    expect(listed.length).toBeGreaterThan(20);
  });

  it('has one code for each error, in snake_case', () => {
    const codes = errors.map(({ code }) => code);

    for (const code of codes) expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
  });

  it('is the documented one, no more and no less', () => {
    const known = [...errors.map(({ code }) => code!), ...others];

    expect(listed.map(({ code }) => code).toSorted()).toEqual(known.toSorted());
    for (const { meaning } of listed) expect(meaning).toMatch(/^[A-Z].{10,}/);
  });

  it('has the status of the kind', () => {
    const documented = new Map(listed.map(({ code, status }) => [code, status]));

    for (const { code, kind } of errors)
      if (kind) expect([code, documented.get(code!)]).toEqual([code, STATUS_OF[kind]]);
  });
});
