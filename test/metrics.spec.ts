import { type DynamicModule, Injectable } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Durable } from '../src/platform/events/handlers.js';
import { MetricsServer } from '../src/metrics/metrics-server.js';
import { takeDatabaseAway } from './support/away-database.js';
import { eventually } from './support/eventually.js';
import { complete, fail, lease, makeAgent, makeTask } from './support/makers.js';
import { startRun, workOff } from './support/runs.js';
import { SocketClient } from './support/socket-client.js';
import { freePort } from './support/server-process.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;

/** The samples of a scrape, as `name{labels}` and their value; the labels in the order of their names. */
function samplesOf(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split('\n').filter((one) => one !== '' && !one.startsWith('#'))) {
    const [, name, labels = '', value] = LINE.exec(line)!;
    const sorted = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([pair]) => pair).sort();
    samples.set(sorted.length > 0 ? `${name}{${sorted.join(',')}}` : name!, Number(value));
  }
  return samples;
}

/** A durable consumer that never gets on. */
function stuckModule(): DynamicModule {
  @Injectable()
  class Consumer {
    @Durable({ name: 'stuck', types: ['*'] })
    hear(): Promise<void> {
      return new Promise((resolve) => setTimeout(resolve, 5_000).unref());
    }
  }
  return { module: class StuckModule {}, providers: [Consumer] };
}

describe('the metrics', () => {
  let server: TestApp;
  let url: string;

  beforeAll(async () => {
    server = await startTestApp({ isListening: true, extra: [stuckModule()] });
    url = await server.listen();
  });
  afterAll(() => server.close());

  const scrape = async (): Promise<Map<string, number>> => samplesOf((await server.get<string>('/metrics')).body);
  const value = async (name: string): Promise<number> => (await scrape()).get(name) ?? 0;

  it('are told in the text form of Prometheus, outside the versioned API', async () => {
    const { status, headers, body } = await server.get<string>('/metrics');

    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(body).toMatch(/^# HELP flightdeck_info /m);
    for (const name of body.matchAll(/^# TYPE (\S+)/gm)) expect(name[1]).toMatch(/^(flightdeck|process|nodejs)_/);
    expect((await server.get('/api/v1/metrics')).status).toBe(404);
  });

  it('count requests by route, method and status, and how long they took', async () => {
    const before = await scrape();
    const { id } = await makeTask(server);
    await server.get(`/api/v1/tasks/${id}`);
    await server.get(`/api/v1/tasks/${id}?x=1`);
    await server.get('/api/tasks/01890000-0000-7000-8000-000000000000');
    await server.post('/api/v1/tasks', {});

    const after = await scrape();
    const rise = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    const requests = (method: string, route: string, status: number) =>
      rise(`flightdeck_http_requests_total{method="${method}",route="${route}",status="${status}"}`);

    expect(requests('GET', '/api/v1/tasks/:id', 200)).toBe(2);
    expect(requests('GET', '/api/tasks/:id', 404)).toBe(1);
    expect(requests('POST', '/api/v1/tasks', 201)).toBe(1);
    expect(requests('POST', '/api/v1/tasks', 422)).toBe(1);
    expect(rise('flightdeck_http_request_duration_seconds_count{method="GET",route="/api/v1/tasks/:id"}')).toBe(2);
    expect(
      rise('flightdeck_http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/api/v1/tasks/:id"}'),
    ).toBe(2);
  });

  it('name no path that a client made up', async () => {
    for (const path of ['/nowhere/1', '/nowhere/2', '/api/v1/nothing', '/api/v1/tasks/1/2/3/4']) await server.get(path);
    await server.request('DELETE', '/health');

    const text = (await server.get<string>('/metrics')).body;

    expect(text).not.toMatch(/nowhere|nothing/);
    expect(
      await value('flightdeck_http_requests_total{method="GET",route="none",status="404"}'),
    ).toBeGreaterThanOrEqual(4);
    expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-/);
  });

  it('count what happens to tasks and runs', async () => {
    await server.settle();
    const before = await scrape();
    const agent = await makeAgent(server);
    const fields = { agent_type: agent.type, max_attempts: 2, retry: { backoff: 'fixed', delay_seconds: 0 } };
    await makeTask(server, fields);
    await makeTask(server, fields);
    await complete(server, (await lease(server, agent))[0]!);
    await fail(server, (await lease(server, agent))[0]!, { retryable: false });
    const run = await startRun(server, [{ key: 'only' }]);
    await workOff(server, run.agent);

    const rises: Record<string, number> = {
      flightdeck_tasks_created_total: 3,
      flightdeck_leases_granted_total: 3,
      flightdeck_task_attempts_failed_total: 1,
      'flightdeck_tasks_ended_total{outcome="completed"}': 2,
      'flightdeck_tasks_ended_total{outcome="failed"}': 1,
      flightdeck_runs_started_total: 1,
      'flightdeck_runs_ended_total{outcome="completed"}': 1,
    };
    await eventually(async () => {
      const after = await scrape();
      const seen = Object.keys(rises).map((name) => [name, after.get(name)! - (before.get(name) ?? 0)]);
      expect(Object.fromEntries(seen)).toEqual(rises);
    });
  });

  it('count leases that expire, and the attempts that follow', async () => {
    const agent = await makeAgent(server);
    await makeTask(server, { agent_type: agent.type });
    const [held] = await lease(server, agent);
    await server.database.query(`UPDATE tasks SET lease_expires_at = now() - interval '1 minute' WHERE id = $1`, [
      held!.task.id,
    ]);

    await eventually(async () => {
      const samples = await scrape();
      expect(samples.get('flightdeck_leases_expired_total{reason="lease_expired"}')).toBe(1);
      expect(samples.get('flightdeck_task_retries_total')).toBe(1);
    });
  });

  it('tell how many tasks are ready and since when, by type of agent', async () => {
    const [first] = [
      await makeTask(server, { agent_type: 'waiting "type"' }),
      await makeTask(server, { agent_type: 'waiting "type"' }),
    ];
    await makeTask(server, { agent_type: 'later', scheduled_at: '2031-01-01T00:00:00Z' });
    await server.database.query(`UPDATE tasks SET ready_at = now() - interval '1 hour' WHERE id = $1`, [first.id]);

    await eventually(async () => {
      const samples = await scrape();
      expect(samples.get('flightdeck_queue_depth{agent_type="waiting \\"type\\""}')).toBe(2);
      expect(
        samples.get('flightdeck_queue_oldest_age_seconds{agent_type="waiting \\"type\\""}'),
      ).toBeGreaterThanOrEqual(3600);
      expect(samples.has('flightdeck_queue_depth{agent_type="later"}')).toBe(false);
      expect(samples.get('flightdeck_database_up')).toBe(1);
    });
  });

  it('have a bounded number of labels, however many types of agents there are', async () => {
    const types = Array.from({ length: 60 }, (_, index) => `type ${index}`);
    const tasks = types.flatMap((agent_type, index) => (index === 7 ? [1, 2, 3] : [1]).map(() => ({ agent_type })));
    for (const task of tasks) await makeTask(server, task);

    await eventually(async () => {
      const depths = [...(await scrape())].filter(([name]) => name.startsWith('flightdeck_queue_depth'));
      expect(depths).toHaveLength(31);
      expect(depths).toContainEqual(['flightdeck_queue_depth{agent_type="type 7"}', 3]);
      const [row] = await server.database.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM tasks WHERE status = 'pending' AND ready_at <= now()`,
      );
      expect(depths.reduce((sum, [, depth]) => sum + depth, 0)).toBe(row!.count);
    });
  });

  it('tell how far each durable consumer is behind', async () => {
    await server.database.query(
      `INSERT INTO events (id, type, source, severity, actor_type, data, metadata, created_at)
       SELECT gen_random_uuid(), 'note', 'system', 'info', 'system', '{}', '{}', now() FROM generate_series(1, 50)`,
    );

    await eventually(async () => {
      const samples = await scrape();
      expect(samples.get('flightdeck_event_consumer_lag_events{consumer="stuck"}')).toBeGreaterThanOrEqual(49);
      expect(samples.get('flightdeck_event_consumer_lag_seconds{consumer="stuck"}')).toBeGreaterThan(0);
    });
  });

  it('tell of this node: sockets, connections to the database, the event loop', async () => {
    const before = await value('flightdeck_sockets_connected');
    const client = await SocketClient.connect(url);

    const samples = await scrape();
    client.close();

    expect(samples.get('flightdeck_sockets_connected')).toBe(before + 1);
    expect(samples.get('flightdeck_database_pool_size')).toBeGreaterThan(0);
    expect(samples.get('flightdeck_database_pool_connections')).toBeGreaterThanOrEqual(
      samples.get('flightdeck_database_pool_idle')!,
    );
    expect(samples.get('flightdeck_database_pool_waiting')).toBe(0);
    expect(samples.has('nodejs_eventloop_lag_seconds')).toBe(true);
    expect(samples.has('process_resident_memory_bytes')).toBe(true);
  });

  it('ask the database once, however many ask for them', async () => {
    const statements: string[] = [];
    const { pool } = server.database;
    const query = pool.query.bind(pool) as (...args: unknown[]) => unknown;
    pool.query = ((config: { name?: string }, ...more: unknown[]) => {
      statements.push(config.name ?? '');
      return query(config, ...more);
    }) as never;

    await Promise.all(Array.from({ length: 50 }, () => scrape()));
    pool.query = query as never;

    expect(statements.filter((name) => name === 'queue_state').length).toBeLessThanOrEqual(1);
  });

  it('are told also while the database is away', async () => {
    const bringBack = takeDatabaseAway(server);

    await eventually(async () => {
      const samples = await scrape();
      expect(samples.get('flightdeck_database_up')).toBe(0);
      expect([...samples.keys()].filter((name) => name.startsWith('flightdeck_queue'))).toEqual([]);
      expect(samples.has('flightdeck_sockets_connected')).toBe(true);
    });
    bringBack();

    await eventually(async () => expect(await value('flightdeck_database_up')).toBe(1));
  });
});

describe('a port for metrics', () => {
  it('serves them alone, as a worker has no API', async () => {
    const port = await freePort();
    const server = await startTestApp({ environment: { ROLE: 'worker', METRICS_PORT: port } });
    const own = `http://127.0.0.1:${server.app.get(MetricsServer).port}`;

    const answer = await fetch(`${own}/metrics`);
    const text = await answer.text();
    const other = await fetch(`${own}/health`);
    await server.close();

    expect(answer.headers.get('content-type')).toContain('version=0.0.4');
    expect(samplesOf(text).get('flightdeck_database_up')).toBe(1);
    expect(other.status).toBe(404);
    await expect(fetch(`${own}/metrics`)).rejects.toThrow();
  });
});
