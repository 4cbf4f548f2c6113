import type { PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DatabasePool } from '../../src/platform/database/database-pool.js';
import { eventually, HANGING_MS, sleep, within } from '../support/eventually.js';
import { complete, lease, makeAgent, makeTask } from '../support/makers.js';
import { SocketClient } from '../support/socket-client.js';
import { type Answer, startTestApp, type TestApp } from '../support/test-app.js';

const OVERLOADED = { status: 503, code: 'overloaded' };

/** Until the server refuses new work, or takes it again. */
const untilNewWorkIs = (server: TestApp, status: number): Promise<Answer> =>
  eventually(async () => {
    const answer = await server.post('/api/v1/tasks', {});
    expect(answer.status).toBe(status);
    return answer;
  }, 30_000);

const metric = async (server: TestApp, sample: string): Promise<number> => {
  const { body } = await server.get<string>('/metrics');
  return Number(
    body
      .split('\n')
      .find((line) => line.startsWith(`${sample} `))!
      .slice(sample.length),
  );
};

const TURN_MS = 2_000;

/** Turns as a server makes them that has too many requests: each does something in between. Until the returned is called. */
function keepBusy(): () => void {
  let isBusy = true;
  const turn = (): void => {
    const end = performance.now() + TURN_MS;
    while (performance.now() < end);
    if (isBusy) setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    isBusy = false;
  };
}

describe('an event loop whose turns take too long', { timeout: 120_000 }, () => {
  let server: TestApp;
  let url: string;

  beforeAll(async () => {
    server = await startTestApp({ isListening: true, environment: { OVERLOAD_EVENT_LOOP_LAG_MS: 0.4 * TURN_MS } });
    url = await server.listen();
  });
  afterAll(() => server.close());

  it('refuses new work, goes on with what is under way, and takes new work when it is over', async () => {
    // The start may have been too much for this machine already.
    await untilNewWorkIs(server, 422);
    const [agent] = [await makeAgent(server), await makeTask(server), await makeTask(server)];
    const [leased] = await lease(server, agent);

    const rest = keepBusy();
    try {
      const refused = await untilNewWorkIs(server, 503);
      const browsers = await server.get('/api/v1/tasks', { origin: 'http://localhost:3000' });
      const statuses = await Promise.all([
        server.get('/health'),
        server.get('/api/health'),
        server.get('/metrics'),
        server.post(`/api/v1/agents/${agent.id}/heartbeat`, {}),
        server.post(`/api/v1/tasks/${leased!.task.id}/lease/heartbeat`, { lease_token: leased!.lease.token }),
        server.post('/api/v1/tasks/lease', { agent_id: agent.id }),
        complete(server, leased!),
      ]);
      const socket = await SocketClient.connect(url).catch((error: Error) => error);

      expect(refused.headers['content-type']).toBe('application/problem+json');
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
      expect(refused.body).toMatchObject({ ...OVERLOADED, reason: 'event_loop', request_id: expect.any(String) });
      expect(browsers).toMatchObject({ status: 503, headers: { 'access-control-allow-origin': expect.any(String) } });
      expect(statuses.map(({ status }) => status)).toEqual(Array(7).fill(200));
      expect(socket).toBeInstanceOf(Error);
      expect(await metric(server, 'flightdeck_overloaded{reason="event_loop"}')).toBe(1);
    } finally {
      rest();
    }

    await untilNewWorkIs(server, 422);
    expect((await server.get('/api/v1/tasks')).status).toBe(200);
    (await SocketClient.connect(url)).close();
    expect(await metric(server, 'flightdeck_overloaded{reason="event_loop"}')).toBe(0);
    expect(await metric(server, 'flightdeck_overload_refusals_total{reason="event_loop"}')).toBeGreaterThan(2);
    expect(await metric(server, 'flightdeck_overload_refusals_total{reason="pool_queue"}')).toBe(0);
  });
});

describe('a pool with a long queue', () => {
  const QUEUE = 5;
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp({ environment: { OVERLOAD_POOL_QUEUE: QUEUE } });
  });
  afterAll(() => server.close());

  /** Others hold some for ever, and some for a moment: all that they give back is taken as well. */
  function takeAllConnections(): () => void {
    const { pool } = server.app.get(DatabasePool);
    const taken: PoolClient[] = [];
    let isOver = false;
    for (let index = 0; index < pool.options.max; index++) {
      void pool.connect().then((client) => (isOver ? client.release() : taken.push(client)));
    }
    return () => {
      isOver = true;
      taken.forEach((client) => client.release());
    };
  }

  it('refuses new work, lets what agents do wait its turn, and takes new work when it is over', async () => {
    const [agent] = [await makeAgent(server), await makeTask(server)];
    const giveBack = takeAllConnections();

    // From the source: of those who would take a kept answer, one asks for all.
    const fromSource = { 'cache-control': 'no-cache' };
    const waiting = Array.from({ length: 4 * QUEUE }, () => server.get('/api/v1/tasks', fromSource));
    const refused = await untilNewWorkIs(server, 503);
    const leasing = lease(server, agent);
    const read = await server.get('/api/v1/tasks');
    const health = await server.get('/health');
    giveBack();

    expect(refused.body).toMatchObject({ ...OVERLOADED, reason: 'pool_queue' });
    expect(read.body).toMatchObject(OVERLOADED);
    expect(health.status).toBe(200);
    expect(await within(HANGING_MS, leasing)).toHaveLength(1);
    await within(HANGING_MS, Promise.all(waiting));
    await untilNewWorkIs(server, 422);
    expect((await server.get('/api/v1/tasks')).status).toBe(200);
    expect(await metric(server, 'flightdeck_overload_refusals_total{reason="pool_queue"}')).toBeGreaterThan(1);
  });
});

describe('the watch over both', () => {
  it('is off where nobody turned it on', async () => {
    const server = await startTestApp();
    const rest = keepBusy();
    await sleep(3 * TURN_MS);

    expect((await server.get('/api/v1/tasks')).status).toBe(200);
    expect(await metric(server, 'flightdeck_overloaded{reason="event_loop"}')).toBe(0);
    rest();
    await server.close();
  });
});
