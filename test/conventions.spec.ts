import { request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeProject } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const JSON_TYPE = { 'content-type': 'application/json' };
const MEBIBYTE = 1_048_576;

const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

describe('paths', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it('serve one store under /api/v1, /api/v2 and /api', async () => {
    const { id } = await makeProject(server);
    const created = await server.post('/api/projects', { name: 'Without version' });

    const answers = await Promise.all(
      ['/api/v1', '/api/v2', '/api'].map((base) => server.get(`${base}/projects/${id}`)),
    );

    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(created.headers.location).toBe(`/api/projects/${created.body.id}`);
    expect((await server.get(String(created.headers.location))).body).toEqual(created.body);
  });

  it('may end in a slash, without a redirect', async () => {
    const created = await server.post('/api/v1/projects/', { name: 'Slash' });

    expect(created.status).toBe(201);
    expect(created.headers.location).toBe(`/api/v1/projects/${created.body.id}`);
    for (const path of ['projects/', `projects/${created.body.id}/`, 'projects/?limit=1', 'tasks/stats/summary/']) {
      expect((await server.get(`/api/v1/${path}`)).status).toBe(200);
    }
    expect((await server.get('/health/')).status).toBe(200);
    expect((await server.delete(`/api/v2/projects/${created.body.id}/`)).status).toBe(204);
  });

  it.each(['/api/v3/tasks', '/api/v0/tasks', '/api/v1', '/v1/tasks', '/tasks', '/api/v1/v2/tasks'])(
    'do not include %s',
    async (path) => {
      expect(await server.get(path)).toMatchObject({ status: 404, body: { code: 'route_not_found', instance: path } });
    },
  );

  it('begin with a description of the service', async () => {
    const { body } = await server.get('/');

    expect(body).toMatchObject({
      name: 'flightdeck',
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      description: expect.any(String),
      docs_url: '/docs',
      api_versions: { v1: '/api/v1', v2: '/api/v2', unversioned: '/api' },
      realtime: { protocol: 'socket.io', path: '/socket.io' },
    });
  });

  it('lead to UUIDs of version 7 and to times in UTC', async () => {
    const { id, created_at, updated_at } = await makeProject(server);

    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    for (const time of [created_at, updated_at]) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it('take ids in capitals', async () => {
    const { id } = await makeProject(server);

    expect((await server.get(`/api/v1/projects/${String(id).toUpperCase()}`)).body).toMatchObject({ id });
  });
});

describe('a body', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  const create = (body: unknown, headers?: Record<string, string>) => server.post('/api/v1/projects', body, headers);
  const sized = (bytes: number): string => {
    const frame = JSON.stringify({ name: 'Large', metadata: { text: '' } });
    return JSON.stringify({ name: 'Large', metadata: { text: 'x'.repeat(bytes - frame.length) } });
  };

  it('may have 1 MiB and not a byte more', async () => {
    const largest = await create(sized(MEBIBYTE));
    const tooLarge = await create(sized(MEBIBYTE + 1));
    const farTooLarge = await create(sized(3 * MEBIBYTE));

    expect(largest.status).toBe(201);
    expect(tooLarge).toMatchObject({ status: 413, body: { code: 'body_too_large', title: 'Payload Too Large' } });
    expect(farTooLarge).toMatchObject({ status: 413, body: { code: 'body_too_large' } });
  });

  it('is measured in bytes, not in characters', async () => {
    expect((await create({ name: 'Large', metadata: { text: '🚀'.repeat(MEBIBYTE / 4) } })).status).toBe(413);
  });

  it('may be 32 levels deep; deeper ones are refused at once, however deep', async () => {
    const deepest = await create(`{"name":"Deep","metadata":${nested(31)}}`);
    const tooDeep = await create(`{"name":"Deep","metadata":${nested(32)}}`);
    const absurd = await create(`{"name":"Deep","metadata":${nested(10_000)}}`);

    expect(deepest.status).toBe(201);
    expect(JSON.stringify(deepest.body.metadata)).toBe(nested(31));
    for (const refused of [tooDeep, absurd]) {
      expect(refused).toMatchObject({
        status: 422,
        body: { errors: [{ pointer: '', detail: 'is nested deeper than 32 levels' }] },
      });
    }
  });

  it('loses the fields that nobody knows', async () => {
    const { status, body } = await create({ name: 'Extra', colour: 'red', id: 'mine', created_at: 'never' });

    expect(status).toBe(201);
    expect(body).not.toHaveProperty('colour');
    expect(body.id).not.toBe('mine');
  });

  it.each([
    '{"name":"x","__proto__":{"is_admin":true}}',
    '{"name":"x","metadata":{"deep":[{"constructor":{"prototype":{}}}]}}',
    '{"name":"x","metadata":{"\\u005f\\u005fproto__":1}}',
    '{"name":"x","metadata":{"c\\u006fnstructor":1}}',
  ])('must not have keys that pollute prototypes: %s', async (body) => {
    expect(await create(body)).toMatchObject({ status: 400, body: { code: 'malformed_request' } });
    expect({}).not.toHaveProperty('is_admin');
  });

  it.each(['{"name":', '{"name":"x"}}', "{'name':'x'}", 'name=x', '\u0000'])('must be JSON: %j', async (body) => {
    const answer = await create(body);

    expect(answer).toMatchObject({ status: 400, body: { code: 'malformed_request', title: 'Bad Request' } });
    expect(answer.body.detail).toMatch(/^The body is not valid JSON/);
  });

  it.each(['[]', '"x"', 'null', '1', 'true', '[{"name":"x"}]'])('must be an object: %s', async (body) => {
    expect(await create(body)).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '', detail: 'must be a JSON object' }] },
    });
  });

  it('may be empty where no field is required', async () => {
    const { id } = await makeProject(server);

    const withType = await server.request('PUT', `/api/v1/projects/${id}`, undefined, JSON_TYPE);
    const withoutType = await server.request('PUT', `/api/v1/projects/${id}`);
    const required = await server.request('POST', '/api/v1/projects', undefined, JSON_TYPE);

    expect([withType.status, withoutType.status]).toEqual([200, 200]);
    expect(required).toMatchObject({ status: 422, body: { errors: [{ pointer: '/name' }] } });
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonx',
    'nonsense',
  ])('must not be %s', async (type) => {
    expect(await create('{"name":"x"}', { 'content-type': type })).toMatchObject({
      status: 415,
      body: { code: 'unsupported_media_type', detail: expect.stringContaining('application/json') },
    });
  });

  it('must say that it is JSON', async () => {
    const url = await server.listen();

    const { status, body } = await new Promise<{ status?: number; body: string }>((resolve, reject) => {
      const sent = request(`${url}/api/v1/projects`, { method: 'POST' }, (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        answer.on('end', () => resolve({ status: answer.statusCode, body: text }));
      });
      sent.on('error', reject);
      sent.end('{"name":"x"}');
    });

    expect(status).toBe(415);
    expect(JSON.parse(body)).toMatchObject({ code: 'unsupported_media_type' });
  });

  it.each([
    'application/json; charset=utf-8',
    'APPLICATION/JSON',
    'application/merge-patch+json',
    'application/vnd.api+json',
  ])('may be %s', async (type) => {
    expect((await create('{"name":"x"}', { 'content-type': type })).status).toBe(201);
  });

  it.each([
    ['{"name":"a\\u0000b"}', '/name'],
    ['{"name":"x","metadata":{"a":["\\ud83d"]}}', '/metadata/a/0'],
    ['{"name":"x","metadata":{"k\\u0000":1}}', '/metadata'],
    ['{"name":"x","metadata":{"\\udc00":1}}', '/metadata'],
    ['{"name":"x","dropped":"\\u0000"}', '/dropped'],
  ])('holds no text that PostgreSQL cannot store: %s', async (body, pointer) => {
    expect(await create(body)).toMatchObject({ status: 422, body: { code: 'invalid_input', errors: [{ pointer }] } });
  });

  it.each([
    '/api/v1/projects?search=a%00b',
    '/api/v1/projects?se%00arch=x',
    '/api/v1/projects/%00',
    '/api/v1/agents/a%00b',
  ])('and neither does a URL: %s', async (url) => {
    expect((await server.get(url)).status).toBe(422);
  });

  it('may begin with a byte order mark', async () => {
    expect((await create('\ufeff{"name":"Marked"}')).body).toMatchObject({ name: 'Marked' });
  });

  it('must be UTF-8', async () => {
    const { statusCode, body } = await server.app.inject({
      method: 'POST',
      url: '/api/v1/projects',
      headers: JSON_TYPE,
      payload: Buffer.from('{"name":"caf\xe9"}', 'latin1'),
    });

    expect(statusCode).toBe(400);
    expect(JSON.parse(body)).toMatchObject({ detail: 'The body is not valid UTF-8' });
  });

  it.each([
    ['gzip', gzipSync('{"name":"x"}')],
    ['gzip', Buffer.from('{"name":"x"}')],
    ['br, identity', Buffer.from('{"name":"x"}')],
  ])('must not be encoded: %s', async (encoding, payload) => {
    const { statusCode, body } = await server.app.inject({
      method: 'POST',
      url: '/api/v1/projects',
      headers: { ...JSON_TYPE, 'content-encoding': encoding },
      payload,
    });

    expect(statusCode).toBe(415);
    expect(JSON.parse(body)).toMatchObject({
      code: 'unsupported_content_encoding',
      detail: expect.stringContaining(`Content-Encoding: ${encoding}`),
    });
  });

  it('may say that it is not encoded', async () => {
    expect((await create('{"name":"x"}', { 'content-encoding': 'identity' })).status).toBe(201);
  });

  it('keeps free-form JSON as it came', async () => {
    const metadata =
      '{"z":1,"a":{"y":[],"b":{}},"":"empty key","ключ":"🚀 \\u0001","nul":null,"f":0.1,"e":1e-7,"n":-9007199254740991,' +
      '"toString":"x","valueOf":{"hasOwnProperty":[{"isPrototypeOf":1}]},"then":{"get":1},"camelCase":1,"$ref":"#","a.b[0]":" "}';

    const { body } = await create(`{"name":"Free","metadata":${metadata}}`);
    const read = await server.get(`/api/v1/projects/${body.id}`);
    const listed = await server.get('/api/v1/projects?search=Free');

    for (const found of [body, read.body, listed.body[0]]) expect(JSON.stringify(found.metadata)).toBe(metadata);
  });

  it('is refused when JavaScript would change one of its numbers', async () => {
    expect(await create('{"name":"x","metadata":{"tweet_id":12345678901234567890}}')).toMatchObject({
      status: 422,
      body: { detail: expect.stringContaining('12345678901234567890') },
    });
  });

  it('of a PUT or PATCH changes only what it names', async () => {
    const { id, ...before } = await makeProject(server, { description: 'Kept', metadata: { kept: true } });

    const untouched = await server.put(`/api/v1/projects/${id}`, {});
    const cleared = await server.put(`/api/v1/projects/${id}`, { description: null });
    const refused = await server.put(`/api/v1/projects/${id}`, { name: null, status: null, metadata: null });

    expect(untouched.body).toEqual({ ...before, id, updated_at: untouched.body.updated_at });
    expect(cleared.body).toMatchObject({ description: null, name: before.name, metadata: { kept: true } });
    expect(refused.status).toBe(422);
    expect(refused.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/name',
      '/status',
      '/metadata',
    ]);
    expect((await server.get(`/api/v1/projects/${id}`)).body).toEqual(cleared.body);
  });
});

describe('a body with BODY_LIMIT_BYTES', () => {
  it('may be as large as configured', async () => {
    const server = await startTestApp({ environment: { BODY_LIMIT_BYTES: 2048 } });
    const post = (length: number) =>
      server.post('/api/v1/projects', { name: 'x', metadata: { text: 'x'.repeat(length) } });

    const answers = [await post(1900), await post(2100), await post(3 * MEBIBYTE)];
    await server.close();

    expect(answers.map(({ status }) => status)).toEqual([201, 413, 413]);
  });
});
