import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from './support/eventually.js';
import { complete, fail, lease, type Leased, makeAgent, makeProject, makeTask } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';

describe('dispatch', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());
  // Agents without a project take from all of them. What a test leaves behind must not be theirs, neither now nor once
  // its lease runs out, which on a slow machine is in the middle of a later test.
  afterEach(() => server.database.query('UPDATE tasks SET is_held = true, ready_at = NULL'));

  type Ref = { id: string };
  const read = async ({ id }: Ref) => (await server.get(`/api/v1/tasks/${id}`)).body;
  const eventsOf = async ({ id }: Ref) => (await server.events({ task_id: id })).slice(1);
  const typesOf = async (task: Ref) => (await eventsOf(task)).map(({ type }) => type);
  const titles = (leased: Leased[]) => leased.map(({ task }) => task.title as string);
  const call = ({ task, lease: { token } }: Leased, verb: string, fields: object = {}) =>
    server.post(`/api/v1/tasks/${task.id}/lease/${verb}`, { lease_token: token, ...fields });
  const renew = (leased: Leased, fields: object = {}) => call(leased, 'heartbeat', fields);
  const release = (leased: Leased) => call(leased, 'release');
  const agentOf = async ({ id }: Ref) => (await server.get(`/api/v1/agents/${id}`)).body;
  const heldTasks = async ({ id }: Ref) =>
    (await server.database.query<{ held_tasks: number }>('SELECT held_tasks FROM agents WHERE id = $1', [id]))[0]!
      .held_tasks;
  const expireLease = (id: string) =>
    server.database.query(`UPDATE tasks SET lease_expires_at = now() - interval '1 s' WHERE id = $1`, [id]);

  /** A project in which tests do not meet: its agents see only its tasks. */
  async function place() {
    const { id: project_id } = await makeProject(server);
    return {
      project_id,
      agent: (fields: object = {}) => makeAgent(server, { project_id, ...fields }),
      task: (title: string, fields: object = {}) => makeTask(server, { project_id, title, ...fields }),
    };
  }

  /** An agent that holds the one task of its project. */
  async function held(fields: object = {}, options: object = {}) {
    const { agent: newAgent, task: newTask, project_id } = await place();
    const agent = await newAgent();
    const task = await newTask('Held', fields);
    const [leased] = await lease(server, agent, options);
    return { agent, task, leased: leased!, project_id };
  }

  const LOST = { status: 409, body: { code: 'lease_lost' } };

  describe('of a task to an agent', () => {
    it('leases it, and tells', async () => {
      const { agent, task, leased } = await held();

      expect(leased).toMatchObject({
        task: {
          id: task.id,
          status: 'in_progress',
          assigned_agent: { id: agent.id, name: agent.name },
          attempt: 1,
          started_at: expect.any(String),
        },
        lease: { token: expect.stringMatching(/^[0-9a-f-]{36}$/), attempt: 1 },
      });
      const seconds = (Date.parse(leased.lease.expires_at) - Date.parse(leased.task.started_at)) / 1000;
      expect(seconds).toBeCloseTo(12, 1);
      expect(await eventsOf(task)).toMatchObject([
        {
          type: 'task_started',
          source: 'agent',
          actor_type: 'agent',
          actor_id: agent.id,
          agent_id: agent.id,
          data: { task_id: task.id, attempt: 1, agent_id: agent.id, old_status: 'pending', new_status: 'in_progress' },
          metadata: { request_id: expect.any(String) },
        },
      ]);
      expect(
        (await server.events({ agent_id: agent.id })).filter(({ type }) => type === 'agent_status_updated'),
      ).toMatchObject([
        { data: { old_status: 'idle', new_status: 'busy', current_task: { id: task.id, title: 'Held' } } },
      ]);
    });

    it('never shows the token in the task itself', async () => {
      const { task, leased } = await held();

      expect(JSON.stringify(await read(task))).not.toContain(leased.lease.token);
      expect(JSON.stringify(await server.events({ task_id: task.id }))).not.toContain(leased.lease.token);
    });

    it('lasts as long as the agent asks for, and serves it by key', async () => {
      const { agent, task } = await place();
      const { key } = await agent({ key: 'lease-by-key' });
      await task('Long');

      const [leased] = await lease(server, { id: key }, { lease_seconds: 3600 });

      expect((Date.parse(leased!.lease.expires_at) - Date.parse(leased!.task.started_at)) / 1000).toBeCloseTo(3600, 0);
    });

    it('answers with an empty list when there is nothing', async () => {
      const { agent } = await place();

      expect(await lease(server, await agent())).toEqual([]);
    });

    it.each([
      ['an unknown agent', { agent_id: UNKNOWN }, 404],
      ['an unknown key', { agent_id: 'nobody' }, 404],
    ])('refuses %s', async (_what, body, status) => {
      expect(await server.post('/api/v1/tasks/lease', body)).toMatchObject({
        status,
        body: { code: 'agent_not_found' },
      });
    });

    it.each([
      ['no agent', {}, '/agent_id'],
      ['null for an agent', { agent_id: null }, '/agent_id'],
      ['an agent of another type', { agent_id: 7 }, '/agent_id'],
      ['no tasks', { agent_id: UNKNOWN, max_tasks: 0 }, '/max_tasks'],
      ['too many tasks', { agent_id: UNKNOWN, max_tasks: 101 }, '/max_tasks'],
      ['a wait without end', { agent_id: UNKNOWN, wait_seconds: 31 }, '/wait_seconds'],
      ['a wait into the past', { agent_id: UNKNOWN, wait_seconds: -1 }, '/wait_seconds'],
      ['a lease that is too short', { agent_id: UNKNOWN, lease_seconds: 4 }, '/lease_seconds'],
      ['a lease that is too long', { agent_id: UNKNOWN, lease_seconds: 3601 }, '/lease_seconds'],
    ])('refuses %s', async (_what, body, pointer) => {
      expect(await server.post('/api/v1/tasks/lease', body)).toMatchObject({
        status: 422,
        body: { errors: [{ pointer }] },
      });
    });
  });

  describe('gives an agent only what it may do', () => {
    it('by its type', async () => {
      const { agent, task } = await place();
      await task('for writers', { agent_type: 'writer' });
      await task('for anyone');

      expect(titles(await lease(server, await agent({ type: 'reader' }), { max_tasks: 5 }))).toEqual(['for anyone']);
      expect(titles(await lease(server, await agent({ type: 'writer' }), { max_tasks: 5 }))).toEqual(['for writers']);
    });

    it('by its capabilities', async () => {
      const { agent, task } = await place();
      await task('hard', { required_capabilities: ['python', 'sql'] });

      expect(await lease(server, await agent({ capabilities: ['python'] }))).toEqual([]);
      expect(await lease(server, await agent())).toEqual([]);
      expect(titles(await lease(server, await agent({ capabilities: ['sql', 'go', 'python'] })))).toEqual(['hard']);
    });

    it('by its project', async () => {
      const [here, there] = [await place(), await place()];
      await here.task('here', { agent_type: here.project_id });
      const bound = await there.agent({ type: here.project_id });
      const free = await makeAgent(server, { type: here.project_id });

      expect(await lease(server, bound)).toEqual([]);
      expect(titles(await lease(server, free))).toContain('here');
    });

    it('by a fixed assignment, which overrides the type', async () => {
      const { agent, task } = await place();
      const [chosen, other] = [await agent({ type: 'a' }), await agent({ type: 'b' })];
      await task('mine', { assigned_agent_id: chosen.id, agent_type: 'b' });

      expect(await lease(server, other)).toEqual([]);
      expect(titles(await lease(server, chosen))).toEqual(['mine']);
    });

    it('by its true type, also where that is written like another agent’s id or like anyone', async () => {
      const { agent, task } = await place();
      const chosen = await agent();
      const impostor = await agent({ type: chosen.id });
      const star = await agent({ type: '*', max_concurrent_tasks: 9 });
      await task('mine', { assigned_agent_id: chosen.id });
      await task('for stars', { agent_type: '*' });
      await task('for anyone');

      expect(titles(await lease(server, impostor, { max_tasks: 5 }))).toEqual(['for anyone']);
      expect(titles(await lease(server, star, { max_tasks: 5 }))).toEqual(['for stars']);
    });

    it('by its free slots', async () => {
      const { agent, task } = await place();
      for (const title of ['1', '2', '3', '4']) await task(title);
      const worker = await agent({ max_concurrent_tasks: 3 });

      const first = await lease(server, worker, { max_tasks: 2 });
      const second = await lease(server, worker, { max_tasks: 2 });
      const none = await lease(server, worker);
      await complete(server, first[0]!);
      const again = await lease(server, worker, { max_tasks: 2 });

      expect([titles(first), titles(second), titles(none), titles(again)]).toEqual([['1', '2'], ['3'], [], ['4']]);
      expect(await heldTasks(worker)).toBe(3);
    });

    it('not while it is drained', async () => {
      const { agent, task } = await place();
      const worker = await agent();
      await task('waits');
      await server.post(`/api/v1/agents/${worker.id}/drain`);

      expect(await lease(server, worker)).toEqual([]);
    });

    it('not before its scheduled time', async () => {
      const { agent, task } = await place();
      await task('later', { scheduled_at: '2999-01-01T00:00:00Z' });
      await task('due', { scheduled_at: '2001-01-01T00:00:00Z' });

      expect(titles(await lease(server, await agent({ max_concurrent_tasks: 5 }), { max_tasks: 5 }))).toEqual(['due']);
    });

    it('not while it waits for dependencies', async () => {
      const { agent, task } = await place();
      const first = await task('first');
      await task('second', { dependencies: [first.id], priority: 'critical' });
      const worker = await agent();

      const [held] = await lease(server, worker);
      await complete(server, held!);

      expect(held!.task.title).toBe('first');
      expect(titles(await lease(server, worker))).toEqual(['second']);
    });
  });

  describe('is in order', () => {
    it('of priority, then of readiness', async () => {
      const { agent, task } = await place();
      for (const priority of ['low', 'medium', 'high', 'critical']) {
        await task(`${priority} 1`, { priority });
        await task(`${priority} 2`, { priority });
      }
      await task('medium 0', { agent_type: 'sorter', scheduled_at: '2001-01-01T00:00:00Z' });
      await server.database.query(`UPDATE tasks SET ready_at = '2001-01-01' WHERE title = 'medium 0'`);

      const leased = await lease(server, await agent({ type: 'sorter', max_concurrent_tasks: 20 }), { max_tasks: 20 });

      expect(titles(leased)).toEqual([
        'critical 1',
        'critical 2',
        'high 1',
        'high 2',
        'medium 0',
        'medium 1',
        'medium 2',
        'low 1',
        'low 2',
      ]);
    });

    it('of projects, which take turns', async () => {
      const places = [await place(), await place(), await place()];
      const agent_type = places[0]!.project_id;
      for (const title of ['1', '2', '3', '4', '5', '6']) await places[0]!.task(`flood ${title}`, { agent_type });
      await places[1]!.task('second', { agent_type });
      await places[2]!.task('third', { agent_type });
      await makeTask(server, { title: 'without project', agent_type });
      const worker = await makeAgent(server, { type: agent_type, max_concurrent_tasks: 20 });

      const served: string[] = [];
      for (let turn = 0; turn < 4; turn++) served.push(...titles(await lease(server, worker)));

      expect(new Set(served.map((title) => title.split(' ', 1)[0]))).toEqual(
        new Set(['flood', 'second', 'third', 'without']),
      );
    });

    it('of projects, which take turns task by task when several are leased at once', async () => {
      const [flooding, quiet] = [await place(), await place()];
      const fields = { agent_type: flooding.project_id, priority: 'critical' };
      for (let n = 0; n < 50; n++) await flooding.task(`flood ${n}`, fields);
      for (const title of ['quiet 0', 'quiet 1', 'quiet 2']) await quiet.task(title, fields);
      await makeTask(server, { title: 'without project', ...fields });
      const worker = await makeAgent(server, { type: flooding.project_id, max_concurrent_tasks: 20 });

      const served = titles(await lease(server, worker, { max_tasks: 8 }));

      const expected = ['flood 0', 'flood 1', 'flood 2', 'flood 3', 'quiet 0', 'quiet 1', 'quiet 2', 'without project'];
      expect(served.toSorted()).toEqual(expected);
    });
  });

  describe('renews a lease', () => {
    it('from now on, for as long as is asked, and hears of progress', async () => {
      const { task, leased } = await held({}, { lease_seconds: 5 });

      const plain = await renew(leased);
      const longer = await renew(leased, { lease_seconds: 600, progress_percentage: 33.5 });

      expect(plain).toMatchObject({ status: 200, body: { cancel_requested: false } });
      expect(plain.body.expires_at > leased.lease.expires_at).toBe(true);
      expect((Date.parse(longer.body.expires_at) - Date.now()) / 1000).toBeGreaterThan(500);
      expect(await read(task)).toMatchObject({ progress: 33.5, status: 'in_progress' });
      expect((await eventsOf(task)).slice(1)).toMatchObject([
        { type: 'task_progress_updated', source: 'agent', data: { progress: 33.5 } },
      ]);
    });

    it('never beyond the time of the attempt', async () => {
      const { leased } = await held({ timeout_seconds: 20 });

      const { body } = await renew(leased, { lease_seconds: 3600 });

      expect((Date.parse(body.expires_at) - Date.parse(leased.task.started_at)) / 1000).toBeCloseTo(20, 1);
    });

    it('that ran out but was not taken back yet', async () => {
      const { leased } = await held();
      await server.database.query(`UPDATE tasks SET lease_expires_at = now() WHERE id = $1`, [leased.task.id]);

      expect((await renew(leased)).status).toBe(200);
    });

    it.each([
      ['no token', { lease_token: undefined }, '/lease_token'],
      ['null for a token', { lease_token: null }, '/lease_token'],
      ['a token that is none', { lease_token: 'x' }, '/lease_token'],
      ['too much progress', { progress_percentage: 101 }, '/progress_percentage'],
      ['a lease that is too short', { lease_seconds: 1 }, '/lease_seconds'],
    ])('but refuses %s', async (_what, fields, pointer) => {
      const { leased } = await held();

      expect(await renew(leased, fields)).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
    });
  });

  describe('takes a result', () => {
    it('of many tasks in one call, each for itself', async () => {
      const agent = await makeAgent(server, { max_concurrent_tasks: 10 });
      const own = { assigned_agent_id: agent.id };
      const tasks = [await makeTask(server, own), await makeTask(server, own), await makeTask(server, own)];
      const dependent = await makeTask(server, { dependencies: [tasks[1]!.id], agent_type: 'nobody' });
      const leased = await lease(server, agent, { max_tasks: 3 });
      expect(leased.map(({ task }) => task.id)).toEqual(tasks.map(({ id }) => id));
      const results = leased.map(({ task, lease: { token } }, index) => ({
        task_id: task.id,
        lease_token: token,
        output: { index },
        metrics: { tokens_in: index },
      }));
      const stale = { task_id: tasks[2]!.id, lease_token: UNKNOWN };
      const unknown = { task_id: UNKNOWN, lease_token: UNKNOWN };

      const answer = await server.post('/api/v1/tasks/lease/complete', {
        results: [stale, ...results, unknown, results[0]],
      });

      const isDone = { is_completed: true, problem: null };
      expect(answer).toMatchObject({
        status: 200,
        body: [
          { task_id: stale.task_id, is_completed: false, problem: { status: 409, code: 'lease_lost' } },
          ...results.map(({ task_id }) => ({ task_id, ...isDone })),
          { task_id: UNKNOWN, is_completed: false, problem: { status: 404, code: 'task_not_found' } },
          { task_id: results[0]!.task_id, ...isDone },
        ],
      });
      for (const [index, { task_id }] of results.entries()) {
        expect(await read({ id: task_id })).toMatchObject({ status: 'completed', output: { index } });
        expect((await eventsOf({ id: task_id })).filter(({ type }) => type === 'task_completed')).toMatchObject([
          { actor_type: 'agent', actor_id: agent.id, data: { metrics: { tokens_in: index } } },
        ]);
      }
      expect(await read(dependent)).toMatchObject({ status: 'pending' });
      expect(await heldTasks(agent)).toBe(0);
      expect((await agentOf(agent)).performance_metrics).toMatchObject({ tasks_completed: 3 });
    });

    it('of many only in a list that is none too long, without a wrong part', async () => {
      const result = { task_id: UNKNOWN, lease_token: UNKNOWN };
      const refusals: [unknown, string][] = [
        [undefined, '/results'],
        [[], '/results'],
        [Array.from({ length: 101 }, () => result), '/results'],
        [[result, { ...result, task_id: 'x' }], '/results/1/task_id'],
        [[{ ...result, metrics: { tokens_in: -1 } }], '/results/0/metrics/tokens_in'],
        [[null], '/results/0'],
      ];

      for (const [results, pointer] of refusals) {
        const answer = await server.post('/api/v1/tasks/lease/complete', { results });
        expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
      }
    });

    it('with output, score and metrics, once and for all', async () => {
      const { agent, task, leased } = await held();

      const done = await complete(server, leased, {
        output: { answer: [1, 'ü'] },
        quality_score: 70,
        metrics: { tokens_in: 5, tokens_out: 0, cost_usd: 0.01, by_model: { m: 'any' } },
      });
      const again = await complete(server, leased, { output: 'another', quality_score: 1 });

      expect(done).toMatchObject({
        status: 200,
        body: {
          status: 'completed',
          progress: 100,
          output: { answer: [1, 'ü'] },
          quality_score: 70,
          assigned_agent_id: agent.id,
          completed_at: expect.any(String),
          time_tracking: { actual_duration_minutes: expect.any(Number) },
        },
      });
      expect(again).toMatchObject({ status: 200, body: done.body });
      expect((await eventsOf(task)).slice(1)).toMatchObject([
        {
          type: 'task_completed',
          source: 'agent',
          actor_id: agent.id,
          data: { attempt: 1, metrics: { tokens_in: 5, tokens_out: 0, cost_usd: 0.01, by_model: { m: 'any' } } },
        },
      ]);
      expect((await agentOf(agent)).performance_metrics).toMatchObject({ tasks_completed: 1, quality_score: 7 });
      expect(await heldTasks(agent)).toBe(0);
    });

    it('in the same way when others depend on it', async () => {
      const { agent, task, leased } = await held();
      const dependent = await makeTask(server, { dependencies: [task.id] });

      const done = await complete(server, leased, {
        output: [0],
        quality_score: 70,
        metrics: { tokens_in: 5, tokens_out: 0, cost_usd: 0.01, by_model: { m: 'any' } },
      });
      const again = await complete(server, leased);

      expect(done).toMatchObject({
        status: 200,
        body: { status: 'completed', output: [0], quality_score: 70, progress: 100, dependents: [dependent.id] },
      });
      expect(again).toMatchObject({ status: 200, body: done.body });
      expect((await eventsOf(task)).slice(1)).toMatchObject([
        {
          type: 'task_completed',
          source: 'agent',
          actor_id: agent.id,
          agent_id: agent.id,
          data: { attempt: 1, metrics: { tokens_in: 5, tokens_out: 0, cost_usd: 0.01, by_model: { m: 'any' } } },
        },
      ]);
      expect((await agentOf(agent)).performance_metrics).toMatchObject({ tasks_completed: 1, quality_score: 7 });
      expect(await read(dependent)).toMatchObject({ status: 'pending' });
    });

    it.each([
      [undefined, null],
      [null, null],
      [false, false],
      [0, 0],
      ['', ''],
      [[], []],
      [{ toString: 1 }, { toString: 1 }],
    ])('as it is: %j', async (output, stored) => {
      const [plain, withDependent] = [await held(), await held()];
      await makeTask(server, { dependencies: [withDependent.task.id] });

      for (const { task, leased } of [plain, withDependent]) {
        const { status } = await complete(server, leased, { output });

        expect(status).toBe(200);
        expect(JSON.stringify((await read(task)).output)).toBe(JSON.stringify(stored));
      }
    });

    it('of just 1 MiB, but not of a byte more, and not with U+0000; then the lease stays', async () => {
      const { leased } = await held();
      const inQuotes = (bytes: number) => 'x'.repeat(bytes - 2);

      const withNull = await complete(server, leased, { output: { text: 'a\u0000b' } });
      const halfPair = await complete(server, leased, { output: ['\ud800'] });
      const tooLarge = await complete(server, leased, { output: inQuotes(1_048_577) });
      const inBytes = await complete(server, leased, { output: 'ü'.repeat(524_288) });
      const stillHeld = await renew(leased);
      const justFits = await complete(server, leased, { output: inQuotes(1_048_576) });

      expect(withNull).toMatchObject({ status: 422, body: { errors: [{ pointer: '/output/text' }] } });
      expect(halfPair).toMatchObject({ status: 422, body: { errors: [{ pointer: '/output/0' }] } });
      expect(tooLarge).toMatchObject({ status: 422, body: { errors: [{ pointer: '/output' }] } });
      expect(inBytes).toMatchObject({ status: 422, body: { errors: [{ pointer: '/output' }] } });
      expect(stillHeld.status).toBe(200);
      expect(justFits).toMatchObject({ status: 200, body: { status: 'completed' } });
    });

    it.each([
      ['no token', { lease_token: undefined }, '/lease_token'],
      ['a score above 100', { quality_score: 100.5 }, '/quality_score'],
      ['metrics that are a list', { metrics: [] }, '/metrics'],
      ['null for metrics', { metrics: null }, '/metrics'],
      ['tokens as text', { metrics: { tokens_in: 'x' } }, '/metrics/tokens_in'],
      ['half a token', { metrics: { tokens_out: 0.5 } }, '/metrics/tokens_out'],
      ['a negative cost', { metrics: { cost_usd: -1, of: 'mine' } }, '/metrics/cost_usd'],
    ])('but refuses %s, and the lease stays', async (_what, fields, pointer) => {
      const { leased } = await held();

      expect(await complete(server, leased, fields)).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
      expect((await renew(leased)).status).toBe(200);
    });
  });

  describe('knows a lease by its token', () => {
    it('and refuses every other, changing nothing', async () => {
      const { agent, task, leased } = await held();
      const before = await read(task);
      const wrong = { ...leased, lease: { ...leased.lease, token: UNKNOWN } };

      expect(await renew(wrong, { progress_percentage: 50 })).toMatchObject(LOST);
      expect(await complete(server, wrong, { output: 'x' })).toMatchObject(LOST);
      expect(await fail(server, wrong)).toMatchObject(LOST);
      expect(await release(wrong)).toMatchObject(LOST);

      expect(await read(task)).toEqual(before);
      expect(await typesOf(task)).toEqual(['task_started']);
      expect(await heldTasks(agent)).toBe(1);
    });

    it('and refuses that of a lease before', async () => {
      const { agent, task, leased } = await held();
      await release(leased);
      const [second] = await lease(server, agent);
      const before = await read(task);

      expect(await renew(leased, { progress_percentage: 50 })).toMatchObject(LOST);
      expect(await complete(server, leased, { output: 'x' })).toMatchObject(LOST);
      expect(await fail(server, leased)).toMatchObject(LOST);
      expect(await release(leased)).toMatchObject(LOST);

      expect(await read(task)).toEqual(before);
      expect(second!.lease.token).not.toBe(leased.lease.token);
      expect((await complete(server, second!)).status).toBe(200);
      expect(await complete(server, leased)).toMatchObject(LOST);
    });

    it('and knows which call it was ended with', async () => {
      const [released, failed] = [await held(), await held()];
      await release(released.leased);
      await fail(server, failed.leased);

      expect(await fail(server, released.leased)).toMatchObject(LOST);
      expect(await complete(server, released.leased)).toMatchObject(LOST);
      expect(await release(failed.leased)).toMatchObject(LOST);
      expect(await complete(server, failed.leased)).toMatchObject(LOST);
    });

    it('and refuses that of a task which never was leased', async () => {
      const task = await makeTask(server, { agent_type: 'nobody-at-all' });

      expect(await server.post(`/api/v1/tasks/${task.id}/lease/complete`, { lease_token: UNKNOWN })).toMatchObject(
        LOST,
      );
    });

    it('and refuses one that ran out, however the task ended since', async () => {
      const { task, leased } = await held({ max_attempts: 1 });
      await expireLease(task.id);
      await eventually(async () => expect((await read(task)).status).toBe('failed'));

      expect(await fail(server, leased)).toMatchObject(LOST);
      await server.post(`/api/v1/tasks/${task.id}/retry`);
      await server.patch(`/api/v1/tasks/${task.id}/status`, { status: 'completed', output: 'by hand' });

      expect(await complete(server, leased, { output: 'late' })).toMatchObject(LOST);
      expect((await read(task)).output).toBe('by hand');
    });
  });

  describe('takes a failure', () => {
    const steady = { backoff_seconds: 60, factor: 2, max_seconds: 300, jitter: false };

    it('and tries again after the back-off, which grows', async () => {
      const { agent, task, leased } = await held({ retry: steady });

      const failed = await fail(server, leased, { error: { message: 'No', code: 'flaky' } });
      const repeated = await fail(server, leased);
      const tooEarly = await lease(server, agent);
      await server.database.query('UPDATE tasks SET ready_at = now() WHERE id = $1', [task.id]);
      const [second] = await lease(server, agent);
      const failedAgain = await fail(server, second!);

      expect(failed).toMatchObject({
        status: 200,
        body: {
          status: 'pending',
          attempt: 1,
          error: { message: 'No', code: 'flaky', retryable: true },
          assigned_agent_id: null,
        },
      });
      const wait = (body: { ready_at: string; updated_at: string }) =>
        (Date.parse(body.ready_at) - Date.parse(body.updated_at)) / 1000;
      expect(wait(failed.body)).toBeCloseTo(60, 0);
      expect(repeated).toMatchObject({ status: 200, body: failed.body });
      expect(tooEarly).toEqual([]);
      expect(second).toMatchObject({ task: { error: null }, lease: { attempt: 2 } });
      expect(wait(failedAgain.body)).toBeCloseTo(120, 0);
      expect((await eventsOf(task)).slice(1, 3)).toMatchObject([
        {
          type: 'task_failed',
          severity: 'warning',
          agent_id: agent.id,
          data: { final: false, attempt: 1, error: { code: 'flaky' } },
        },
        {
          type: 'task_retry_scheduled',
          agent_id: agent.id,
          data: {
            attempt: 1,
            max_attempts: 3,
            old_status: 'in_progress',
            new_status: 'pending',
            wanted: { ready_at: failed.body.ready_at },
          },
        },
      ]);
      expect((await agentOf(agent)).performance_metrics).toMatchObject({ error_count: 2, tasks_failed: 0 });
      expect(await heldTasks(agent)).toBe(0);
    });

    it('and gives up at once when it cannot be retried', async () => {
      const { agent, task, leased } = await held();

      const failed = await fail(server, leased, { retryable: false });
      const repeated = await fail(server, leased, { retryable: false });

      expect(failed).toMatchObject({
        status: 200,
        body: { status: 'failed', attempt: 1, error: { retryable: false }, assigned_agent_id: agent.id },
      });
      expect(repeated).toMatchObject({ status: 200, body: failed.body });
      expect((await eventsOf(task)).slice(1)).toMatchObject([
        { type: 'task_failed', severity: 'error', data: { final: true, attempt: 1 } },
      ]);
      expect((await agentOf(agent)).performance_metrics).toMatchObject({ tasks_failed: 1, error_count: 1 });
    });

    it('and hears in the error too that it cannot be retried', async () => {
      const { leased } = await held();

      expect((await fail(server, leased, { error: { message: 'No', retryable: false } })).body.status).toBe('failed');
    });

    it('and gives up when the attempts are used up', async () => {
      const { agent, task, leased } = await held({ max_attempts: 2, retry: { backoff_seconds: 0 } });

      await fail(server, leased);
      const [second] = await lease(server, agent);
      await fail(server, second!);

      expect(await read(task)).toMatchObject({ status: 'failed', attempt: 2, completed_at: expect.any(String) });
      expect(await typesOf(task)).toEqual([
        'task_started',
        'task_failed',
        'task_retry_scheduled',
        'task_started',
        'task_failed',
      ]);
      expect(await lease(server, agent)).toEqual([]);
    });

    it('and lets a fixed assignment stand, but no other', async () => {
      const { agent, task } = await place();
      const worker = await agent();
      const fixed = await task('fixed', { assigned_agent_id: worker.id });
      const [leased] = await lease(server, worker);

      await fail(server, leased!);

      expect(await read(fixed)).toMatchObject({ status: 'pending', assigned_agent_id: worker.id });
    });

    it.each([
      ['no error', { error: undefined }, '/error'],
      ['null for an error', { error: null }, '/error'],
      ['an error without message', { error: {} }, '/error/message'],
      ['an error that is text', { error: 'broken' }, '/error'],
      ['a message that is too long', { error: { message: 'x'.repeat(10_001) } }, '/error/message'],
      ['an answer that is neither yes nor no', { retryable: 'perhaps' }, '/retryable'],
    ])('but refuses %s', async (_what, fields, pointer) => {
      const { leased } = await held();

      expect(await fail(server, leased, fields)).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
      expect((await renew(leased)).status).toBe(200);
    });
  });

  it('takes a task back undone without counting the attempt', async () => {
    const { agent, task, leased } = await held({ max_attempts: 1 });

    const released = await release(leased);
    const repeated = await release(leased);
    const [again] = await lease(server, agent);

    expect(released).toMatchObject({
      status: 200,
      body: { status: 'pending', attempt: 0, assigned_agent_id: null, ready_at: expect.any(String) },
    });
    expect(repeated).toMatchObject({ status: 200, body: released.body });
    expect(again).toMatchObject({ task: { id: task.id }, lease: { attempt: 1 } });
    expect((await eventsOf(task)).slice(1, 2)).toMatchObject([
      { type: 'task_updated', agent_id: agent.id, data: { old_status: 'in_progress', new_status: 'pending' } },
    ]);
    expect((await agentOf(agent)).performance_metrics).toMatchObject({ error_count: 0, tasks_failed: 0 });
    expect(await heldTasks(agent)).toBe(1);
  });

  describe('takes back', () => {
    it('a task whose agent fell silent, and gives it to the next', async () => {
      const { agent, task, leased, project_id } = await held({ retry: { backoff_seconds: 0 } });
      const other = await makeAgent(server, { project_id });

      await expireLease(task.id);
      const [second] = await eventually(async () => {
        const found = await lease(server, other);
        expect(found).toHaveLength(1);
        return found;
      });

      expect(second).toMatchObject({ task: { id: task.id }, lease: { attempt: 2 } });
      expect(await renew(leased)).toMatchObject(LOST);
      expect(await complete(server, leased, { output: 'late' })).toMatchObject(LOST);
      expect((await eventsOf(task)).slice(0, 4)).toMatchObject([
        { type: 'task_started' },
        {
          type: 'task_lease_expired',
          source: 'scheduler',
          severity: 'warning',
          agent_id: agent.id,
          data: { attempt: 1, reason: 'lease_expired' },
        },
        { type: 'task_failed', data: { final: false, error: { code: 'lease_expired' } } },
        { type: 'task_retry_scheduled' },
      ]);
      expect(await heldTasks(agent)).toBe(0);
      expect((await agentOf(agent)).performance_metrics).toMatchObject({ error_count: 1 });
    });

    it('a task whose attempt took too long, as a failure', async () => {
      const { agent, task, leased } = await held({ timeout_seconds: 30, max_attempts: 1 });

      await server.database.query(
        `UPDATE tasks SET deadline_at = now() - interval '1 s', lease_expires_at = now() - interval '1 s' WHERE id = $1`,
        [task.id],
      );
      const tooLate = await complete(server, leased);
      await eventually(async () => expect((await read(task)).status).toBe('failed'));

      expect(tooLate).toMatchObject(LOST);
      expect(await read(task)).toMatchObject({ error: { code: 'timeout', message: expect.stringContaining('30 s') } });
      expect((await eventsOf(task)).slice(1)).toMatchObject([
        { type: 'task_lease_expired', data: { reason: 'timeout' } },
        { type: 'task_failed', data: { final: true } },
      ]);
      expect((await agentOf(agent)).performance_metrics).toMatchObject({ tasks_failed: 1, error_count: 1 });
    });

    it('a task that was to be cancelled, for good', async () => {
      const { agent, task } = await held();
      await server.post(`/api/v1/tasks/${task.id}/cancel`);

      await expireLease(task.id);
      await eventually(async () => expect((await read(task)).status).toBe('cancelled'));

      expect((await typesOf(task)).slice(-2)).toEqual(['task_lease_expired', 'task_cancelled']);
      expect(await heldTasks(agent)).toBe(0);
    });

    it('the shortest lease by itself', async () => {
      const { agent, task } = await held({ retry: { backoff_seconds: 0 } }, { lease_seconds: 5 });

      await eventually(async () => expect((await read(task)).status).toBe('pending'));

      expect(await heldTasks(agent)).toBe(0);
      const [started, expired] = await eventsOf(task);
      expect((+expired!.created_at - +started!.created_at) / 1000).toBeGreaterThanOrEqual(5);
    });
  });
});
