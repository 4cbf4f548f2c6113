import { type BeforeApplicationShutdown, Module } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HealthService } from '../src/system-health/health.service.js';
import { takeDatabaseAway } from './support/away-database.js';
import { eventually, HANGING_MS, within } from './support/eventually.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
const VERSION = expect.stringMatching(/^\d+\.\d+\.\d+$/);
const SERVICE = { service: 'flightdeck', version: VERSION };
const COMPONENTS = ['database', 'queue', 'redis', 'realtime', 'event_log'];
const usesRedis = process.env.TEST_REDIS_URL !== undefined;

describe('health', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it('is told in short', async () => {
    const { status, body } = await server.get('/health');

    expect(status).toBe(200);
    expect(body).toEqual({
      status: 'healthy',
      ...SERVICE,
      timestamp: TIME,
      uptime_seconds: expect.any(Number),
      checks: Object.fromEntries(COMPONENTS.map((name) => [name, 'healthy'])),
    });
    expect(body.uptime_seconds).toBeGreaterThanOrEqual(0);
  });

  it('is told of each component', async () => {
    const { status, body } = await server.get('/health/detailed');

    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'healthy', ...SERVICE });
    expect(body).not.toHaveProperty('detail');
    expect(Object.keys(body.components)).toEqual(COMPONENTS);
    for (const component of Object.values(body.components)) {
      expect(component).toEqual({ status: 'healthy', message: expect.any(String), latency_ms: expect.any(Number) });
    }
  });

  it('passes Redis where none is configured', async () => {
    const { body } = await server.get('/health/detailed');

    expect(body.components.redis.message).toBe(usesRedis ? 'ok' : 'not configured');
  });

  it('is readiness', async () => {
    expect(await server.get('/health/ready')).toMatchObject({ status: 200, body: { status: 'ready' } });
  });

  it('is told in the words of BotArmy', async () => {
    const healthy = {
      status: 'healthy',
      ...SERVICE,
      timestamp: TIME,
      checks: { database: 'pass', redis: 'pass', celery: 'pass', audit_system: 'pass' },
      health_percentage: 100,
      services_healthy: '4/4',
    };

    for (const path of ['/health/z', '/healthz']) {
      // A busy machine may be slower than the server's patience with what it depends on.
      await eventually(async () => expect(await server.get(path)).toMatchObject({ status: 200, body: healthy }));
    }
  });

  it('of the API is told under /api', async () => {
    expect(await server.get('/api/health')).toMatchObject({
      status: 200,
      body: { status: 'healthy', timestamp: TIME, version: VERSION },
    });
    expect((await server.get('/api/v1/health')).status).toBe(404);
  });

  it('is cheap to ask for: it tells what is known', async () => {
    await server.get('/health');
    let connections = 0;
    server.database.pool.on('acquire', () => connections++);

    const answers = await Promise.all(Array.from({ length: 200 }, () => server.get('/health')));

    expect(answers.every(({ status }) => status === 200)).toBe(true);
    // The server's own work goes on meanwhile.
    expect(connections).toBeLessThan(100);
  });

  it('is not ready while it starts', async () => {
    const starting = await startTestApp({ isListening: true });

    const reasons = await starting.app.get(HealthService).reasonsNotReady();
    await starting.listen();
    const later = await starting.get('/health/ready');
    await starting.close();

    expect(reasons).toEqual(['starting']);
    expect(later.status).toBe(200);
  });
});

describe('health without a database', () => {
  let server: TestApp;
  let bringBack: () => void;

  beforeAll(async () => {
    server = await startTestApp();
    await server.get('/health');
    bringBack = takeDatabaseAway(server);
  });
  afterAll(() => server.close());

  it('is still 200 in short, at once', async () => {
    expect(await within(HANGING_MS, server.get('/health'))).toMatchObject({ status: 200, body: { status: 'healthy' } });
  });

  it('is 503 in detail, with the same object under detail', async () => {
    const { status, body } = await within(HANGING_MS, server.get('/health/detailed'));

    const { detail, ...rest } = body;
    expect(status).toBe(503);
    expect(detail).toEqual(rest);
    expect(rest).toMatchObject({
      status: 'unhealthy',
      ...SERVICE,
      components: {
        database: { status: 'unhealthy', message: 'unreachable', latency_ms: expect.any(Number) },
        event_log: { status: 'unhealthy', message: 'unreachable' },
        redis: { status: 'healthy' },
        realtime: { status: 'healthy' },
      },
    });
  });

  it('does not show where the database is', async () => {
    for (const path of ['/health', '/health/detailed', '/health/ready', '/healthz']) {
      const text = JSON.stringify((await server.get(path)).body);

      expect(text).not.toMatch(/10\.0\.0\.7|5432|ECONNREFUSED|postgres/);
    }
  });

  it('is not ready', async () => {
    expect(await server.get('/health/ready')).toMatchObject({
      status: 503,
      body: { status: 'not_ready', reasons: ['database: unreachable'] },
    });
  });

  it('is degraded in the words of BotArmy', async () => {
    const { status, body } = await server.get('/healthz');

    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: 'degraded',
      checks: { database: 'fail', redis: 'pass', celery: usesRedis ? 'pass' : 'fail', audit_system: 'fail' },
      health_percentage: usesRedis ? 50 : 25,
      services_healthy: usesRedis ? '2/4' : '1/4',
    });
  });

  it('of the API does not depend on it', async () => {
    expect((await server.get('/api/health')).status).toBe(200);
  });

  it('comes back with it', async () => {
    bringBack();

    await eventually(async () => expect((await server.get('/health/detailed')).status).toBe(200));
    expect((await server.get('/health/ready')).status).toBe(200);
    expect((await server.get('/healthz')).body).toMatchObject({ status: 'healthy', services_healthy: '4/4' });
  });
});

describe('a server that stops', () => {
  it('says so until the end: not ready, and a problem document for the rest', async () => {
    let letGo!: () => void;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    class SlowToStop implements BeforeApplicationShutdown {
      async beforeApplicationShutdown(): Promise<void> {
        await held;
      }
    }
    @Module({ providers: [SlowToStop] })
    class SlowModule {}
    const server = await startTestApp({ extra: [SlowModule] });
    const url = await server.listen();

    const closing = server.close();
    await eventually(async () => expect((await fetch(`${url}/health/ready`)).status).toBe(503));
    const ready = await fetch(`${url}/health/ready`);
    const alive = await fetch(`${url}/health`);
    const refused = await fetch(`${url}/api/v1/projects`);
    const answers = { ready: await ready.json(), refused: await refused.json() };
    letGo();
    await closing;

    expect(answers.ready).toEqual({ status: 'not_ready', reasons: ['stopping'] });
    expect(alive.status).toBe(200);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(refused.headers.get('connection')).toBe('close');
    expect(answers.refused).toMatchObject({ code: 'server_stopping', request_id: refused.headers.get('x-request-id') });
  });
});
