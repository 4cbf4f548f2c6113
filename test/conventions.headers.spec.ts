import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from './support/test-app.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const ALLOWED = 'http://localhost:3000';
const FOREIGN = 'http://evil.example';

describe('every answer', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  const preflight = (origin: string, method = 'PATCH') =>
    server.request('OPTIONS', '/api/v1/projects', undefined, {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': 'authorization,content-type,idempotency-key,x-request-id',
    });

  it('has an id of its own, unless the client gave one', async () => {
    const [one, two] = await Promise.all([server.get('/health'), server.get('/health')]);

    expect(one.headers['x-request-id']).toMatch(UUID);
    expect(two.headers['x-request-id']).not.toBe(one.headers['x-request-id']);
  });

  it.each(['abc', 'A-1_b.c:d', '0'.repeat(128)])("keeps the client's id when it is sane: %.20s", async (id) => {
    const answer = await server.get('/api/v1/nowhere', { 'X-Request-Id': id });

    expect(answer.headers['x-request-id']).toBe(id);
    expect(answer.body).toMatchObject({ request_id: id });
  });

  it.each(['', ' ', 'a b', '0'.repeat(129), 'a,b', '<script>', 'a"b', 'a\tb', 'ümlaut', 'a;b', '{}', 'a/b', "a'b"])(
    'replaces an id that is not: %j',
    async (id) => {
      expect((await server.get('/health', { 'X-Request-Id': id })).headers['x-request-id']).toMatch(UUID);
    },
  );

  it('carries its id whatever it is', async () => {
    const answers = await Promise.all([
      server.get('/health'),
      server.get('/nowhere'),
      server.get('/%zz'),
      server.get('/docs'),
      server.get('/redoc/redoc.standalone.js'),
      server.post('/api/v1/projects', '{'),
      server.post('/api/v1/projects', 'x', { 'content-type': 'text/plain' }),
      server.request('DELETE', '/api/v1/projects'),
      preflight(ALLOWED),
    ]);

    for (const { headers } of answers) expect(headers['x-request-id']).toMatch(UUID);
  });

  it('can be found again in the events that the request caused', async () => {
    const { body } = await server.post('/api/v1/projects/', { name: 'Traced' }, { 'X-Request-Id': 'trace-1' });

    expect(await server.events({ project_id: body.id })).toMatchObject([
      { metadata: { request_id: 'trace-1', endpoint: 'POST /api/v1/projects/', ip: '127.0.0.1' } },
    ]);
  });

  it.each(['/', '/api/v1/projects', '/nowhere', '/docs', '/openapi.json'])('has security headers: %s', async (path) => {
    expect((await server.get(path)).headers).toMatchObject({
      'content-security-policy': expect.stringContaining("default-src 'self'"),
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'referrer-policy': 'no-referrer',
    });
  });

  it('does not tell what serves it', async () => {
    const { headers } = await server.get('/health');

    expect(headers).not.toHaveProperty('x-powered-by');
    expect(headers).not.toHaveProperty('server');
  });

  it('may be read by pages of an allowed origin, with credentials', async () => {
    const { headers } = await server.get('/api/v1/projects', { origin: ALLOWED });

    expect(headers).toMatchObject({
      'access-control-allow-origin': ALLOWED,
      'access-control-allow-credentials': 'true',
      vary: expect.stringContaining('Origin'),
    });
  });

  it('exposes its headers by name, as a star means nothing with credentials', async () => {
    const { headers } = await server.get('/api/v1/projects', { origin: ALLOWED });

    const exposed = String(headers['access-control-expose-headers']).split(', ');
    expect(exposed).toEqual(
      expect.arrayContaining([
        'X-Total-Count',
        'X-Next-Cursor',
        'Link',
        'X-Request-Id',
        'Location',
        'Idempotency-Replayed',
      ]),
    );
    expect(exposed).not.toContain('*');
  });

  it('may not be read by pages of other origins', async () => {
    for (const origin of [FOREIGN, 'null', `${ALLOWED}.evil.example`, 'https://localhost:3000']) {
      const answer = await server.get('/api/v1/projects', { origin });

      expect(answer.status).toBe(200);
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
    }
  });

  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])('lets a preflight pass for %s', async (method) => {
    const { status, headers } = await preflight(ALLOWED, method);

    expect(status).toBe(204);
    expect(headers).toMatchObject({
      'access-control-allow-origin': ALLOWED,
      'access-control-allow-credentials': 'true',
      'access-control-allow-headers': expect.stringContaining('idempotency-key'),
    });
    expect(String(headers['access-control-allow-methods']).split(', ')).toContain(method);
  });

  it('lets no preflight of a foreign origin pass', async () => {
    expect((await preflight(FOREIGN)).headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('is no error for an OPTIONS request that is no preflight', async () => {
    expect((await server.request('OPTIONS', '/api/v1/projects')).status).toBe(204);
  });

  it('may be read by all where CORS_ORIGINS is a star', async () => {
    const open = await startTestApp({ environment: { CORS_ORIGINS: '*' } });
    const { headers } = await open.get('/health', { origin: FOREIGN });
    await open.close();

    expect(headers).toMatchObject({
      'access-control-allow-origin': FOREIGN,
      'access-control-allow-credentials': 'true',
    });
  });
});
