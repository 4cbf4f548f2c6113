import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { eventually } from './support/eventually.js';
import { complete, fail, lease, type Leased, makeAgent, makeProject, makeTask } from './support/makers.js';
import { openTransaction } from './support/open-transaction.js';
import { startRun } from './support/runs.js';
import { startTestApp, type TestApp } from './support/test-app.js';

/** The books of every agent agree with the tasks, and every lease has its agent. */
async function assertBooks(server: TestApp): Promise<void> {
  const wrong = await server.database.query(`
    SELECT a.id, a.held_tasks, held.count FROM agents a
    CROSS JOIN LATERAL (SELECT count(*) FROM tasks t WHERE t.assigned_agent_id = a.id
      AND t.status = 'in_progress' AND t.lease_token IS NOT NULL) AS held
    WHERE a.held_tasks <> held.count OR a.held_tasks > a.max_concurrent_tasks`);
  const orphans = await server.database.query(`
    SELECT t.id FROM tasks t WHERE t.lease_token IS NOT NULL
      AND (t.status <> 'in_progress' OR NOT EXISTS (SELECT FROM agents a WHERE a.id = t.assigned_agent_id))`);
  expect({ wrong, orphans }).toEqual({ wrong: [], orphans: [] });
}

describe('at the same time', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  afterEach(() => assertBooks(server));

  const times = <T>(count: number, make: (index: number) => Promise<T>) =>
    Promise.all(Array.from({ length: count }, (_, index) => make(index)));
  const typesOf = async (task: { id: string }) => (await server.events({ task_id: task.id })).map(({ type }) => type);
  const release = ({ task, lease: { token } }: Leased) =>
    server.post(`/api/v1/tasks/${task.id}/lease/release`, { lease_token: token });
  const metricsOf = async ({ id }: { id: string }) =>
    (await server.get(`/api/v1/agents/${id}`)).body.performance_metrics;

  async function held(fields: object = {}) {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server, { project_id });
    const task = await makeTask(server, { project_id, ...fields });
    const [leased] = await lease(server, agent);
    return { project_id, agent, task, leased: leased! };
  }

  it.each([
    ['a task', 0],
    ['a task that another waits for', 1],
  ])('fifty completions of %s are one', async (_what, dependents) => {
    const { agent, task, leased } = await held();
    await times(dependents, () => makeTask(server, { dependencies: [task.id] }));

    const answers = await times(50, (index) => complete(server, leased, { output: index }));

    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ body }) => body.output as number)).size).toBe(1);
    expect((await typesOf(task)).filter((type) => type === 'task_completed')).toHaveLength(1);
    expect(await metricsOf(agent)).toMatchObject({ tasks_completed: 1 });
  });

  it.skipIf(!inject('template'))('a completion whose task somebody is changing keeps no other waiting', async () => {
    const [locked, free] = [await held(), await held()];
    const letGo = await openTransaction(server, 'SELECT FROM tasks WHERE id = $1 FOR UPDATE', [locked.task.id]);
    let isOver = false;

    const waiting = complete(server, locked.leased).finally(() => (isOver = true));
    const answered = await complete(server, free.leased);
    const wasOver = isOver;
    await letGo();

    expect(answered).toMatchObject({ status: 200, body: { status: 'completed' } });
    expect(wasOver).toBe(false);
    expect(await waiting).toMatchObject({ status: 200, body: { status: 'completed' } });
    expect(await typesOf(locked.task)).toEqual(await typesOf(free.task));
  });

  it('two hundred leases by ten agents give each of a hundred tasks to one of them', async () => {
    const { id: project_id } = await makeProject(server);
    const agents = await times(10, () => makeAgent(server, { project_id, max_concurrent_tasks: 1000 }));
    const tasks = await times(100, (index) => makeTask(server, { project_id, priority: index % 2 ? 'high' : 'low' }));

    const leased = await times(200, (index) => lease(server, agents[index % 10]));

    const ids = leased.flat().map(({ task }) => task.id as string);
    expect(ids).toHaveLength(100);
    expect(new Set(ids)).toEqual(new Set(tasks.map(({ id }) => id as string)));
    const started = await server.database.query<{ task_id: string }>(
      `SELECT task_id FROM events WHERE type = 'task_started' AND project_id = $1`,
      [project_id],
    );
    expect(started).toHaveLength(100);
  });

  it.skipIf(!inject('template'))("a result that waits for its agent's row keeps no other waiting", async () => {
    const [stuck, free] = [await held(), await startRun(server, [{ key: 'a' }])];
    const [leased] = await lease(server, free.agent);
    const letGo = await openTransaction(server, 'SELECT FROM agents WHERE id = $1 FOR UPDATE', [stuck.agent.id]);
    let isAnswered = false;
    const waiting = complete(server, stuck.leased).then((answer) => {
      isAnswered = true;
      return answer.status;
    });
    await eventually(async () => {
      const waiters = await server.database.query(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`);
      expect(waiters.length).toBeGreaterThan(0);
    });

    expect((await complete(server, leased!)).status).toBe(200);
    expect(isAnswered).toBe(false);

    await letGo();
    expect(await waiting).toBe(200);
  });

  it('leases by one agent never exceed its slots', async () => {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server, { project_id, max_concurrent_tasks: 3 });
    await times(20, () => makeTask(server, { project_id }));

    const leased = await times(20, () => lease(server, agent, { max_tasks: 2 }));

    expect(leased.flat()).toHaveLength(3);
  });

  it('a completion, a failure and a release of one lease have one effect', async () => {
    for (let round = 0; round < 5; round++) {
      const { agent, task, leased } = await held();

      const answers = await Promise.all([
        complete(server, leased),
        fail(server, leased, { retryable: false }),
        release(leased),
      ]);

      const winners = answers.filter(({ status }) => status === 200);
      expect(winners).toHaveLength(1);
      expect(answers.filter(({ status }) => status === 409)).toHaveLength(2);
      expect((await typesOf(task)).length).toBe(3);
      const { tasks_completed, tasks_failed } = await metricsOf(agent);
      const { status } = winners[0]!.body;
      expect([tasks_completed, tasks_failed]).toEqual([status === 'completed' ? 1 : 0, status === 'failed' ? 1 : 0]);
    }
  });

  it('people and the agent may end a task, but only one of them does', async () => {
    for (let round = 0; round < 5; round++) {
      const { task, leased } = await held();

      const answers = await Promise.all([
        server.patch(`/api/v1/tasks/${task.id}/status`, { status: 'cancelled' }),
        complete(server, leased),
      ]);

      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 409]));
    }
  });

  it('an agent may be deleted while it leases: all tasks come back', async () => {
    const { id: project_id } = await makeProject(server);
    for (let round = 0; round < 5; round++) {
      const agent = await makeAgent(server, { project_id, max_concurrent_tasks: 100 });
      await times(10, () => makeTask(server, { project_id }));
      const body = { agent_id: agent.id };

      const [deleted] = await Promise.all([
        server.delete(`/api/v1/agents/${agent.id}`),
        times(20, () => server.post('/api/v1/tasks/lease', body)),
        server.delete(`/api/v1/agents/${agent.id}`),
      ]);

      expect([204, 404]).toContain(deleted.status);
      expect((await server.events({ agent_id: agent.id })).filter(({ type }) => type === 'agent_deleted')).toHaveLength(
        1,
      );
    }
    expect((await server.get(`/api/tasks?project_id=${project_id}&status=pending`)).body.total).toBe(50);
  });

  it('chains of dependencies are completed by many agents without a deadlock', async () => {
    const { id: project_id } = await makeProject(server);
    const agents = await times(5, () => makeAgent(server, { project_id, max_concurrent_tasks: 10 }));
    const roots = await times(10, () => makeTask(server, { project_id }));
    const ids = roots.map(({ id }) => id as string);
    const children = await times(5, () => makeTask(server, { project_id, dependencies: ids }));
    const leased = (await Promise.all(agents.map((agent) => lease(server, agent, { max_tasks: 2 })))).flat();

    const answers = await Promise.all(leased.map((each) => complete(server, each)));

    expect(leased).toHaveLength(10);
    expect(answers.map(({ status }) => status)).toEqual(leased.map(() => 200));
    const statuses = await Promise.all(
      children.map(async ({ id }) => (await server.get(`/api/v1/tasks/${id}`)).body.status as string),
    );
    expect(statuses).toEqual(children.map(() => 'pending'));
  });

  it('heartbeats, leases, failures and releases of one agent keep its books', async () => {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server, { project_id, max_concurrent_tasks: 20 });
    await times(20, () => makeTask(server, { project_id }));
    const leased = await lease(server, agent, { max_tasks: 20 });

    const answers = await Promise.all(
      leased.flatMap((each, index) => [
        index % 3 === 0 ? complete(server, each) : index % 3 === 1 ? fail(server, each) : release(each),
        server.post(`/api/v1/agents/${agent.id}/heartbeat`, { status: index % 2 ? 'busy' : 'active' }),
        server.patch(`/api/v1/agents/${agent.id}/status`, { status: 'waiting' }),
      ]),
    );

    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(await metricsOf(agent)).toMatchObject({ tasks_completed: 7, error_count: 7 });
  });
});
