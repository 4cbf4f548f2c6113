import { createClient, type FlightdeckClient } from '@flightdeck/client';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { Cluster } from './support/cluster.js';
import { eventually } from './support/eventually.js';
import { ServerProcess } from './support/server-process.js';
import { SocketClient } from './support/socket-client.js';

// Real processes start here, four at once.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const PATIENCE_MS = 60_000;

/** The shortest that the API allows. */
const LEASE_SECONDS = 5;

describe.skipIf(!inject('template'))('two api nodes and two workers on one database', () => {
  let cluster: Cluster;
  let a: FlightdeckClient;
  let b: FlightdeckClient;

  beforeAll(async () => {
    cluster = await Cluster.start({ api: 2, worker: 2 });
    [a, b] = cluster.apis.map(({ url }) => createClient({ url, retries: 0 })) as [FlightdeckClient, FlightdeckClient];
  });
  afterAll(() => cluster?.dispose());

  const makeProject = async (name: string) => (await a.post('/api/v1/projects', { body: { name } })).id;
  const makeAgent = (key: string, type = key) =>
    a.post('/api/v1/agents', { body: { name: key, key, type, max_concurrent_tasks: 100 } });
  /** For agents of one type, so that the tests do not take each other's. */
  const makeTask = (node: FlightdeckClient, agent_type: string, fields: { project_id?: string } = {}) =>
    node.post('/api/v1/tasks', { body: { title: 'A task', agent_type, ...fields } });
  const lease = (node: FlightdeckClient, agent_id: string, fields: object = {}) =>
    node.post('/api/v1/tasks/lease', { body: { agent_id, ...fields } });
  const typesOf = async (task_id: string) => {
    const events = await b.get('/api/v1/tasks/{id}/events', { params: { path: { id: task_id } } });
    return events.map(({ type }) => type);
  };
  /** Through both nodes at the same time. */
  const makeTasks = async (project_id: string, count: number) => {
    const through = async (node: FlightdeckClient) => {
      for (let made = 0; made < count / 2; made++) await makeTask(node, 'nobody', { project_id });
    };
    await Promise.all([a, b].map(through));
  };
  const created = (socket: SocketClient) =>
    socket.payloads('task_created').map(({ type, position }) => `${type} ${position}`);
  const loggedIn = (project_id: string) => cluster.log(`type = 'task_created' AND project_id = $1`, [project_id]);

  it('tell a socket on either node what is done through any, in order, once', async () => {
    const project_id = await makeProject('Rooms');
    const sockets = await Promise.all(cluster.apis.map(({ url }) => SocketClient.connect(url)));
    for (const socket of sockets) await socket.join(`project:${project_id}`);

    await makeTasks(project_id, 20);

    const logged = await loggedIn(project_id);
    for (const socket of sockets) {
      await eventually(() => expect(created(socket)).toHaveLength(20), PATIENCE_MS);
      await socket.settle();
      expect(created(socket)).toEqual(logged);
      socket.close();
    }
  });

  it('let a socket move between them by its position: it misses nothing and hears nothing twice', async () => {
    const COUNT = 60;
    const project_id = await makeProject('Moving');
    const room = `project:${project_id}`;
    const heard: string[] = [];
    const making: Promise<void>[] = [];
    let since: string | undefined;
    for (let move = 1; heard.length < COUNT; move++) {
      const socket = await SocketClient.connect(cluster.apis[move % 2]!.url);
      const joined = await socket.join(room, since);
      since ??= joined.position as string;
      if (move === 1) making.push(makeTasks(project_id, COUNT));
      await eventually(
        () => expect(heard.length + created(socket).length).toBeGreaterThanOrEqual(move * 10),
        PATIENCE_MS,
      );
      socket.close();
      heard.push(...created(socket));
      since = socket.payloads('task_created').at(-1)?.position ?? since;
    }
    await Promise.all(making);

    expect(heard).toEqual(await loggedIn(project_id));
  });

  it('give a task that is created on one to an agent that waits on the other', async () => {
    const { id } = await makeAgent('waiting');
    for (let round = 0; round < 3; round++) {
      const waiting = lease(a, id, { wait_seconds: 30 });
      // By then the node has the poll, too.
      await a.get('/api/v1/agents/{id}', { params: { path: { id } } });

      const task = await makeTask(b, 'waiting');

      expect((await waiting).map((leased) => leased.task.id)).toEqual([task.id]);
    }
  });

  it('renew and complete on one a lease that was taken on the other', async () => {
    const { id: agent_id } = await makeAgent('leasing');
    const { id } = await makeTask(a, 'leasing');
    const [leased] = await lease(a, agent_id);
    const { token: lease_token, expires_at } = leased!.lease;
    const completion = { params: { path: { id } }, body: { lease_token, output: 'done' } };

    const renewal = { params: { path: { id } }, body: { lease_token, lease_seconds: 600 } };
    const renewed = await b.post('/api/v1/tasks/{id}/lease/heartbeat', renewal);
    const completed = await b.post('/api/v1/tasks/{id}/lease/complete', completion);
    const again = await a.post('/api/v1/tasks/{id}/lease/complete', completion);

    expect(Date.parse(renewed.expires_at)).toBeGreaterThan(Date.parse(expires_at));
    expect(completed).toMatchObject({ status: 'completed', output: 'done' });
    expect(again).toEqual(completed);
    await expect(a.post('/api/v1/tasks/{id}/lease/heartbeat', renewal)).rejects.toMatchObject({ status: 409 });
    expect((await typesOf(id)).filter((type) => type === 'task_completed')).toHaveLength(1);
  });

  it('bring a run forward whose tasks are leased and completed on either of them', async () => {
    const { id: agent_id } = await makeAgent('running');
    const steps = [
      { key: 'begin', agent_type: 'running' },
      {
        key: 'each',
        agent_type: 'running',
        depends_on: ['begin'],
        for_each: 'steps.begin.output',
        input: '${{ item }}',
      },
      { key: 'end', agent_type: 'running', depends_on: ['each'], input: '${{ steps.each.output }}' },
    ];
    const workflow = await a.post('/api/v1/workflows', { body: { name: 'On both', steps } });
    const { run } = await b.post('/api/v1/workflows/{id}/execute', { params: { path: { id: workflow.id } }, body: {} });

    const numbers = [1, 2, 3, 4, 5, 6];
    const done: string[] = [];
    while (done.length < numbers.length + 2) {
      const [one, other] = done.length % 2 === 0 ? [a, b] : [b, a];
      const [leased] = await lease(one, agent_id, { wait_seconds: 20 });
      const { task, lease: held } = leased!;
      const output = task.step_key === 'begin' ? numbers : task.input.value;
      const body = { lease_token: held.token, output };
      await other.post('/api/v1/tasks/{id}/lease/complete', { params: { path: { id: task.id } }, body });
      done.push(task.step_key!);
    }

    const ended = await a.get('/api/v1/runs/{id}', { params: { path: { id: run.id } } });
    expect(ended).toMatchObject({ status: 'completed' });
    expect(ended.steps.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed']);
    expect(ended.steps[1]!.output).toEqual(numbers);
    expect(done).toEqual(['begin', ...numbers.map(() => 'each'), 'end']);
  });

  it('start one run at each tick of a schedule', async () => {
    const monthly = { cron: '0 0 1 * *', overlap: 'allow' as const };
    const ids: string[] = [];
    for (let number = 0; number < 10; number++) {
      const body = { name: `Scheduled ${number}`, steps: [{ key: 'a', agent_type: 'nobody' }], schedule: monthly };
      ids.push((await a.post('/api/v1/workflows', { body })).id);
    }

    const ticks: string[] = [];
    for (let tick = 1; tick <= 3; tick++) {
      // As if time had passed.
      const [due] = await cluster.query<{ at: Date }>(
        `WITH due AS (UPDATE workflows SET next_tick_at = date_trunc('milliseconds', now() - interval '10 s')
                      WHERE id = ANY($1) RETURNING next_tick_at)
         SELECT DISTINCT next_tick_at AS at FROM due`,
        [ids],
      );
      ticks.push(due!.at.toISOString());
      await eventually(async () => {
        const waiting = await cluster.query('SELECT id FROM workflows WHERE id = ANY($1) AND next_tick_at < now()', [
          ids,
        ]);
        expect(waiting).toEqual([]);
      }, PATIENCE_MS);
    }

    for (const id of ids) {
      const query = { sort_order: 'asc' as const };
      const runs = await b.get('/api/v1/workflows/{id}/runs', { params: { path: { id }, query } });
      expect(runs.map(({ scheduled_at }) => scheduled_at)).toEqual(ticks);
    }
  });

  it('take an expired lease back once', async () => {
    const COUNT = 10;
    const [silent, heir] = [await makeAgent('silent'), await makeAgent('heir', 'silent')];
    const ids: string[] = [];
    for (let made = 0; made < COUNT; made++) ids.push((await makeTask(a, 'silent')).id);
    const held = await lease(a, silent.id, { max_tasks: COUNT, lease_seconds: LEASE_SECONDS });
    expect(held.map(({ task }) => task.id).toSorted()).toEqual(ids.toSorted());

    for (let left = COUNT; left > 0;) {
      const again = await lease(b, heir.id, { max_tasks: COUNT, wait_seconds: 20 });
      for (const { task, lease: own } of again) {
        expect(task.attempt).toBe(2);
        const body = { lease_token: own.token };
        await a.post('/api/v1/tasks/{id}/lease/complete', { params: { path: { id: task.id } }, body });
      }
      left -= again.length;
    }

    for (const id of ids) {
      const types = await typesOf(id);
      for (const type of ['task_lease_expired', 'task_retry_scheduled', 'task_completed']) {
        expect([type, types.filter((one) => one === type).length]).toEqual([type, 1]);
      }
    }
  });

  it('feed a durable consumer on one worker at a time, each event once, also when another one takes over', async () => {
    const COUNT = 60;
    await cluster.query('CREATE TABLE noted (number serial, task_id uuid, port int)');
    const noted = () => cluster.query<{ task_id: string; port: number }>('SELECT * FROM noted ORDER BY number');
    const { DATABASE_URL } = cluster.apis[0]!.environment;
    const settings = { ROLE: 'worker', DATABASE_URL, LOG_LEVEL: 'warning' };
    const consumers = await Promise.all(
      [1, 2].map(() => ServerProcess.prepare(settings, 'dist/test/support/consuming-worker.js')),
    );
    try {
      await Promise.all(consumers.map((consumer) => consumer.start()));
      const project_id = await makeProject('Noted');

      const making = makeTasks(project_id, COUNT);
      const first = await eventually(async () => {
        const rows = await noted();
        expect(rows.length).toBeGreaterThan(10);
        return rows[0]!.port;
      }, PATIENCE_MS);
      await consumers.find(({ port }) => port === first)!.signal('SIGTERM');
      await making;
      await makeTasks(project_id, 2);

      await eventually(async () => expect(await noted()).toHaveLength(COUNT + 2), PATIENCE_MS);
      const logged = await cluster.query<{ task_id: string }>(
        `SELECT task_id FROM events WHERE type = 'task_created' AND project_id = $1 ORDER BY txid, seq`,
        [project_id],
      );
      const rows = await noted();
      expect(rows.map(({ task_id }) => task_id)).toEqual(logged.map(({ task_id }) => task_id));
      // One after the other, never in turns.
      const holders = rows.map(({ port }) => port);
      expect(new Set(holders).size).toBe(2);
      expect(holders.lastIndexOf(first)).toBeLessThan(holders.findIndex((port) => port !== first));
    } finally {
      await Promise.all(consumers.map((consumer) => consumer.dispose()));
    }
  });
});
