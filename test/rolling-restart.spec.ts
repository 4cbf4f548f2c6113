import { createClient, FlightdeckAgent, type FlightdeckEvent } from '@flightdeck/client';
import { beforeEach, describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { Balancer } from './support/balancer.js';
import { Cluster } from './support/cluster.js';
import { eventually, sleep } from './support/eventually.js';

// Real processes start and stop here, one after the other.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

const AGENTS = ['ada', 'bob', 'cy'];
const WATCHERS = 3;
/** Plain clients, and what each of them rests between two requests, so that the machine has time for the restarts. */
const CLIENTS = 3;
const REST_MS = 50;
/** Done between two restarts. */
const TASKS = 20;
const PATIENCE_MS = 60_000;

describe.skipIf(!inject('template'))('a rolling restart behind a load balancer, under load', () => {
  let cluster: Cluster;
  let balancer: Balancer;
  let failures: string[];

  beforeEach(async () => {
    failures = [];
    cluster = await Cluster.start({ api: 2, worker: 1, settings: { SHUTDOWN_GRACE_SECONDS: '4' } });
    balancer = await Balancer.before(cluster.apis.map(({ url }) => url));
    return async () => {
      await balancer.close();
      await cluster.dispose();
    };
  });

  /** Tells of every request that was not answered as its client wished. */
  const watchfulFetch: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const name = `${request.method} ${new URL(request.url).pathname}`;
    try {
      const response = await fetch(request);
      const text = await response.clone().text();
      if (!response.ok) failures.push(`${name}: ${response.status} ${text}`);
      return response;
    } catch (error) {
      // An agent that stops does not wait for work any longer.
      if (!request.signal.aborted) failures.push(`${name}: ${String((error as Error).cause ?? error)}`);
      throw error;
    }
  };

  /** As any program has it: no client of ours, no Idempotency-Key, no second try. */
  async function call(method: string, path: string, body?: object): Promise<{ id: string } | null> {
    const headers = { 'content-type': 'application/json' };
    const response = await watchfulFetch(`${balancer.url}/api/v1${path}`, {
      method,
      ...(body && { headers, body: JSON.stringify(body) }),
    }).catch(() => null);
    return response?.ok ? ((await response.json()) as { id: string }) : null;
  }

  async function startAgent(key: string): Promise<FlightdeckAgent> {
    await call('POST', '/agents', { name: key, key, type: 'worker' });
    const agent = new FlightdeckAgent({
      url: balancer.url,
      key,
      type: 'worker',
      concurrency: 2,
      fetch: watchfulFetch,
      handler: async ({ input }) => {
        await sleep(REST_MS);
        return input.number;
      },
    });
    onTestFinished(() => agent.stop());
    await agent.start();
    return agent;
  }

  async function createTasks(ids: string[], over: AbortSignal): Promise<void> {
    for (let number = 0; !over.aborted; number++) {
      const task = await call('POST', '/tasks', { title: `Task ${number}`, agent_type: 'worker', input: { number } });
      if (task) {
        ids.push(task.id);
        await call('GET', `/tasks/${task.id}`);
      }
      await sleep(REST_MS);
    }
  }

  it('fails no request, and loses and doubles no event and no task', async () => {
    const client = createClient({ url: balancer.url });
    const heard: FlightdeckEvent[][] = Array.from({ length: WATCHERS }, () => []);
    const watches = heard.map((events) => client.watch('tasks', { onEvent: (event) => events.push(event) }));
    onTestFinished(() => watches.forEach((watch) => watch.close()));
    await Promise.all(watches.map(({ ready }) => ready));
    const agents = await Promise.all(AGENTS.map(startAgent));
    const task_ids: string[] = [];
    const over = new AbortController();
    onTestFinished(() => over.abort());
    const load = Promise.all(Array.from({ length: CLIENTS }, () => createTasks(task_ids, over.signal)));
    const someWork = async () => {
      const enough = task_ids.length + TASKS;
      await eventually(() => expect(task_ids.length).toBeGreaterThan(enough), PATIENCE_MS);
    };

    for (const node of cluster.nodes) {
      await someWork();
      expect(await node.signal('SIGTERM')).toBe(0);
      expect(node.output).not.toContain('Not everything ended in time');
      await node.start();
      if (node.environment.ROLE === 'api') await balancer.untilLeadingTo(node.url);
    }
    await someWork();
    over.abort();
    await load;

    await eventually(async () => {
      const open = await cluster.query(`SELECT id FROM tasks WHERE status <> 'completed'`);
      expect(open).toEqual([]);
    }, PATIENCE_MS);
    await Promise.all(agents.map((agent) => agent.stop()));

    expect(failures).toEqual([]);
    const logged = await cluster.log(`type LIKE 'task\\_%'`);
    for (const events of heard) {
      // Each event comes under its own name; this one is told besides, when it changes the status.
      const own = () => events.filter(({ type }) => type !== 'task_status_updated');
      await eventually(() => expect(own()).toHaveLength(logged.length), PATIENCE_MS);
      expect(own().map(({ type, position }) => `${type} ${position}`)).toEqual(logged);
    }
    const completed = await cluster.query<{ task_id: string }>(
      `SELECT task_id FROM events WHERE type = 'task_completed'`,
    );
    expect(completed.map(({ task_id }) => task_id).toSorted()).toEqual(task_ids.toSorted());
  });
});
