import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, sleep } from './support/eventually.js';
import { complete, lease, makeAgent, makeTask } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';

const heartbeat = (server: TestApp, agent: { id: string }, body: object = {}) =>
  server.post(`/api/v1/agents/${agent.id}/heartbeat`, body);
const read = async (server: TestApp, agent: { id: string }) => (await server.get(`/api/v1/agents/${agent.id}`)).body;
const eventsOf = async (server: TestApp, agent: { id: string }) =>
  (await server.events({ agent_id: agent.id })).slice(1);

describe('a heartbeat', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it('is answered with what the agent must know, and shows soon', async () => {
    const agent = await makeAgent(server, { key: 'beating' });

    const { status, body } = await server.post('/api/v1/agents/beating/heartbeat', {
      timestamp: '2001-01-01T00:00:00Z',
    });
    const withoutBody = await server.post(`/api/v1/agents/${agent.id}/heartbeat`);

    expect(status).toBe(200);
    expect(body).toEqual({
      status: 'heartbeat_received',
      timestamp: expect.stringMatching(/Z$/),
      cancel_requested: [],
      lease_seconds: 12,
    });
    expect(withoutBody.status).toBe(200);
    await eventually(async () => {
      const { last_heartbeat, performance_metrics } = await read(server, agent);
      expect(Math.abs(Date.now() - Date.parse(last_heartbeat))).toBeLessThan(60_000);
      expect(performance_metrics.uptime_percentage).toBeGreaterThan(0);
    });
  });

  it('makes no event, also when it repeats what is known', async () => {
    const agent = await makeAgent(server);
    const news = { status: 'busy', current_task_id: UNKNOWN, metrics: { tasks_completed: 1, uptime_percentage: 50 } };

    await heartbeat(server, agent);
    await heartbeat(server, agent, news);
    const before = await eventsOf(server, agent);
    for (let times = 0; times < 5; times++) await heartbeat(server, agent, news);

    expect(before.map(({ type }) => type)).toEqual(['agent_status_updated', 'agent_metrics_updated']);
    expect(await eventsOf(server, agent)).toEqual(before);
  });

  it('sets status, current task and metrics, and leaves what it does not mention', async () => {
    const agent = await makeAgent(server);

    await heartbeat(server, agent, { status: 'busy', current_task_id: UNKNOWN, metrics: { tasks_failed: 2 } });
    const busy = await read(server, agent);
    await heartbeat(server, agent, { status: 'waiting' });
    const waiting = await read(server, agent);
    await heartbeat(server, agent, { current_task_id: null });
    const cleared = await read(server, agent);

    expect(busy).toMatchObject({
      status: 'busy',
      current_task: { id: UNKNOWN },
      performance_metrics: { tasks_completed: 0, tasks_failed: 2 },
    });
    expect(waiting).toMatchObject({ status: 'waiting', current_task: { id: UNKNOWN } });
    expect(cleared).toMatchObject({ status: 'waiting', current_task: null });
  });

  it('assigns nothing else, whatever it carries', async () => {
    const agent = await makeAgent(server);

    const { status } = await heartbeat(server, agent, {
      name: 'Mallory',
      type: 'root',
      max_concurrent_tasks: 1000,
      held_tasks: 9,
      id: UNKNOWN,
      metrics: { is_draining: true, name: 'Mallory', success_rate: 100 },
    });

    expect(status).toBe(200);
    const { last_heartbeat: _at, performance_metrics: _metrics, ...rest } = await read(server, agent);
    const { last_heartbeat: _never, performance_metrics: _none, ...before } = agent;
    expect(rest).toEqual(before);
  });

  it.each([
    ['an unknown status', { status: 'dead' }, '/status'],
    ['null for a status', { status: null }, '/status'],
    ['a task that is no id', { current_task_id: 'x' }, '/current_task_id'],
    ['metrics that are a list', { metrics: [] }, '/metrics'],
    ['null for metrics', { metrics: null }, '/metrics'],
    ['a metric of another type', { metrics: { error_count: 'many' } }, '/metrics/error_count'],
    ['a time that is none', { timestamp: 'yesterday' }, '/timestamp'],
    ['a number for a time', { timestamp: '1' }, '/timestamp'],
  ])('with %s is refused', async (_what, body, pointer) => {
    const agent = await makeAgent(server);

    const answer = await heartbeat(server, agent, body);

    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
  });

  it('of thousands writes each agent at most once a second', async () => {
    const agents = await Promise.all(Array.from({ length: 10 }, () => makeAgent(server)));
    await server.database.query(`
      CREATE TABLE agent_writes (agent_id uuid);
      CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO agent_writes VALUES (NEW.id); RETURN NULL; END $$;
      CREATE TRIGGER agent_is_written AFTER UPDATE ON agents FOR EACH ROW EXECUTE FUNCTION note_write();`);
    const startedAt = performance.now();

    for (let times = 0; times < 100; times++) await Promise.all(agents.map((agent) => heartbeat(server, agent)));

    await eventually(async () =>
      expect(await read(server, agents[9])).toMatchObject({ last_heartbeat: expect.any(String) }),
    );
    const most = Math.ceil((performance.now() - startedAt) / 1000) + 1;
    const writes = await server.database.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM agent_writes WHERE agent_id = ANY ($1) GROUP BY agent_id',
      [agents.map(({ id }) => id)],
    );
    await server.database.query('DROP TRIGGER agent_is_written ON agents');
    expect(writes).toHaveLength(10);
    expect(Math.max(...writes.map(({ count }) => count))).toBeLessThanOrEqual(most);
  });

  it('brings back an agent that was set offline, with an event', async () => {
    const agent = await makeAgent(server, { status: 'offline' });

    await heartbeat(server, agent);

    expect(await read(server, agent)).toMatchObject({ status: 'idle', is_active: true });
    expect(await eventsOf(server, agent)).toMatchObject([
      { type: 'agent_status_updated', data: { old_status: 'offline', new_status: 'idle', status: 'idle' } },
    ]);
  });

  it('brings an agent back with the status that it names, in one event', async () => {
    const agent = await makeAgent(server, { status: 'offline' });

    await heartbeat(server, agent, { status: 'active' });

    expect(await eventsOf(server, agent)).toMatchObject([
      { type: 'agent_status_updated', data: { old_status: 'offline', new_status: 'active' } },
    ]);
  });

  it('does not bring back an agent that goes offline after it', async () => {
    const agent = await makeAgent(server);

    await heartbeat(server, agent);
    await heartbeat(server, agent, { status: 'offline' });
    await sleep(1_500);

    expect(await read(server, agent)).toMatchObject({ status: 'offline' });
  });

  it('tells the agent which tasks to stop, until it has', async () => {
    const agent = await makeAgent(server);
    const task = await makeTask(server, { agent_type: agent.type });
    const [held] = await lease(server, agent);

    await server.post(`/api/v1/tasks/${task.id}/cancel`);
    const asked = await heartbeat(server, agent);
    await complete(server, held!);
    const done = await heartbeat(server, agent);

    expect(asked.body.cancel_requested).toEqual([task.id]);
    expect(done.body.cancel_requested).toEqual([]);
  });
});

describe.concurrent('an agent', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp({ environment: { AGENT_OFFLINE_AFTER_SECONDS: 1 } });
    await sleep(1_100); // Right after a start nobody is marked as offline.
  });
  afterAll(() => server.close());

  const isOffline = (agent: { id: string }) =>
    eventually(async () => expect(await read(server, agent)).toMatchObject({ status: 'offline', is_active: false }));

  it('that falls silent goes offline, and comes back with its next sign of life', async () => {
    const agent = await makeAgent(server);

    await heartbeat(server, agent);
    await isOffline(agent);
    await heartbeat(server, agent);

    expect(await eventsOf(server, agent)).toMatchObject([
      {
        type: 'agent_status_updated',
        source: 'scheduler',
        data: { old_status: 'idle', new_status: 'offline', status: 'offline' },
      },
      { type: 'agent_status_updated', source: 'user', data: { old_status: 'offline', new_status: 'idle' } },
    ]);
  });

  it('that never showed itself does not go offline', async () => {
    const silent = await makeAgent(server);
    const other = await makeAgent(server);

    await heartbeat(server, other);
    await isOffline(other);

    expect(await read(server, silent)).toMatchObject({ status: 'idle', performance_metrics: { uptime_percentage: 0 } });
  });

  it('has only the time that it was online counted', async () => {
    const agent = await makeAgent(server);
    await heartbeat(server, agent);
    await isOffline(agent);
    await server.database.query(
      `UPDATE agents SET first_seen_at = now() - interval '100 s', online_seconds = 50, online_since = NULL WHERE id = $1`,
      [agent.id],
    );

    const offline = await read(server, agent);
    await heartbeat(server, agent);
    await server.patch(`/api/v1/agents/${agent.id}/status`, { status: 'offline' });

    expect(offline.performance_metrics.uptime_percentage).toBeCloseTo(50, 0);
    const [row] = await server.database.query<{ online_seconds: number; online_since: Date | null }>(
      'SELECT online_seconds, online_since FROM agents WHERE id = $1',
      [agent.id],
    );
    expect(row!.online_since).toBeNull();
    expect(row!.online_seconds).toBeGreaterThanOrEqual(50);
    expect(row!.online_seconds).toBeLessThan(60);
  });

  it('that asks for work shows that it is there', async () => {
    const agent = await makeAgent(server);
    await heartbeat(server, agent);
    await isOffline(agent);

    await lease(server, agent);

    expect(await read(server, agent)).toMatchObject({ status: 'idle' });
  });

  it('that gets work while it counts as offline is busy', async () => {
    const agent = await makeAgent(server);
    await heartbeat(server, agent);
    await isOffline(agent);
    await makeTask(server, { agent_type: agent.type });

    const [held] = await lease(server, agent);

    expect(held).toBeDefined();
    expect(await read(server, agent)).toMatchObject({ status: 'busy', current_task: { id: held!.task.id } });
    expect((await eventsOf(server, agent)).at(-1)).toMatchObject({
      type: 'agent_status_updated',
      data: { old_status: 'offline', new_status: 'busy', current_task: { id: held!.task.id } },
    });
  });

  it('comes back when it renews a lease', async () => {
    const agent = await makeAgent(server);
    await makeTask(server, { agent_type: agent.type });
    const [held] = await lease(server, agent, { lease_seconds: 60 });
    await isOffline(agent);

    await server.post(`/api/v1/tasks/${held!.task.id}/lease/heartbeat`, { lease_token: held!.lease.token });

    await eventually(async () => {
      const events = await eventsOf(server, agent);
      expect(events.map(({ data }) => data.new_status)).toEqual(expect.arrayContaining(['offline', 'busy']));
      expect(events.filter(({ data }) => data.old_status === 'offline')).toMatchObject([
        { data: { new_status: 'busy' } },
      ]);
    });
  });

  it('that waits for work does not go offline', async () => {
    const agent = await makeAgent(server);

    await lease(server, agent, { wait_seconds: 2.5 });

    expect(await eventsOf(server, agent)).toEqual([]);
  });
});

describe.concurrent('a busy agent', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it('is idle when it asks for more and there is none', async () => {
    const agent = await makeAgent(server);
    await makeTask(server, { agent_type: agent.type });
    const [held] = await lease(server, agent);
    await complete(server, held!);

    await lease(server, agent);

    expect(await read(server, agent)).toMatchObject({ status: 'idle' });
    expect((await eventsOf(server, agent)).filter(({ type }) => type.startsWith('agent'))).toMatchObject([
      { data: { old_status: 'idle', new_status: 'busy' } },
      { data: { old_status: 'busy', new_status: 'idle', current_task: null } },
    ]);
  });

  it('is idle soon after its work, also when it waits for more again and again', async () => {
    const agent = await makeAgent(server);
    await makeTask(server, { agent_type: agent.type });
    await complete(server, (await lease(server, agent))[0]!);

    await eventually(async () => {
      await lease(server, agent, { wait_seconds: 0.2 });
      expect(await read(server, agent)).toMatchObject({ status: 'idle' });
    });
  });

  it('is idle soon after its work, also when it does not ask for more', async () => {
    const agent = await makeAgent(server);
    await makeTask(server, { agent_type: agent.type });
    const [held] = await lease(server, agent);

    await complete(server, held!);

    await eventually(async () => expect(await read(server, agent)).toMatchObject({ status: 'idle' }));
  });

  it('that said so itself stays busy', async () => {
    const agent = await makeAgent(server);
    const sentinel = await makeAgent(server);
    await makeTask(server, { agent_type: sentinel.type });
    await heartbeat(server, agent, { status: 'busy' });

    await complete(server, (await lease(server, sentinel))[0]!);
    await eventually(async () => expect(await read(server, sentinel)).toMatchObject({ status: 'idle' }));

    expect(await read(server, agent)).toMatchObject({ status: 'busy' });
  });
});
