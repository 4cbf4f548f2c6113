import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, fail, lease, type Leased, makeAgent, makeProject, makeTask } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';

describe('moving a task by hand', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  const read = async (task: { id: string }) => (await server.get(`/api/v1/tasks/${task.id}`)).body;
  const typesOf = async (task: { id: string }) => (await server.events({ task_id: task.id })).map(({ type }) => type);
  const setStatus = (task: { id: string }, body: object) => server.patch(`/api/v1/tasks/${task.id}/status`, body);
  const heldTasks = async (agent: { id: string }) =>
    (await server.database.query<{ held_tasks: number }>('SELECT held_tasks FROM agents WHERE id = $1', [agent.id]))[0]!
      .held_tasks;

  /** An agent that holds the one task of its project. */
  async function held(fields: object = {}) {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server, { project_id });
    const task = await makeTask(server, { project_id, ...fields });
    const [leased] = await lease(server, agent);
    return { agent, task, leased: leased as Leased };
  }

  /** A task in the given status. */
  async function taskThatIs(status: string) {
    const dependencies = status === 'blocked' || status === 'skipped' ? [(await makeTask(server)).id] : [];
    const task = await makeTask(server, { dependencies });
    if (status === 'in_progress' || status === 'failed') await setStatus(task, { status: 'in_progress' });
    if (status === 'failed' || status === 'completed' || status === 'cancelled') await setStatus(task, { status });
    if (status === 'skipped') await setStatus({ id: dependencies[0] }, { status: 'cancelled' });
    if (status === 'waiting_for_hitl') {
      await server.database.query(`UPDATE tasks SET status = $2 WHERE id = $1`, [task.id, status]);
    }
    expect((await read(task)).status).toBe(status);
    return task;
  }

  const ALLOWED: Record<string, string[]> = {
    pending: ['in_progress', 'completed', 'cancelled'],
    blocked: [],
    in_progress: ['completed', 'failed', 'cancelled', 'pending'],
    waiting_for_hitl: [],
    completed: [],
    failed: ['pending'],
    cancelled: ['pending'],
    skipped: [],
  };

  it.each(Object.keys(ALLOWED))('from %s is allowed or refused as the contract says', async (from) => {
    for (const to of Object.keys(ALLOWED)) {
      const task = await taskThatIs(from);
      const before = await typesOf(task);

      const answer = await setStatus(task, { status: to });

      const isAllowed = ALLOWED[from]!.includes(to);
      const expected = isAllowed
        ? { status: 200, body: { status: to } }
        : { status: 409, body: { code: 'task_move_refused', from, to } };
      expect(answer, `${from} to ${to}`).toMatchObject(expected);
      expect((await typesOf(task)).length > before.length).toBe(isAllowed);
    }
  });

  it('to completed sets progress, times, output and score, and tells', async () => {
    const task = await makeTask(server);
    await setStatus(task, { status: 'in_progress' });
    await server.database.query(`UPDATE tasks SET started_at = now() - interval '30 minutes' WHERE id = $1`, [task.id]);

    const { body } = await setStatus(task, {
      status: 'completed',
      output: { answer: 42 },
      quality_score: 90,
      progress_percentage: 5,
    });

    expect(body).toMatchObject({
      progress_percentage: 100,
      output: { answer: 42 },
      quality_score: 90,
      completed_at: expect.any(String),
    });
    expect(body.time_tracking.actual_duration_minutes).toBeCloseTo(30, 0);
    expect((await server.events({ task_id: task.id })).slice(1)).toMatchObject([
      { type: 'task_started', data: { attempt: 1, old_status: 'pending', new_status: 'in_progress' } },
      { type: 'task_completed', data: { old_status: 'in_progress', new_status: 'completed', progress: 100 } },
    ]);
  });

  it.each([[null], [false], [0], [''], ['text'], [[1, { toString: 'kept' }]], [{ toString: 'kept', nested: [null] }]])(
    'takes the output %j as it is',
    async (output) => {
      const task = await makeTask(server);

      await setStatus(task, { status: 'completed', output });

      expect(JSON.stringify((await read(task)).output)).toBe(JSON.stringify(output));
    },
  );

  it('to failed keeps the error that is given, or says that it was by hand', async () => {
    const [silent, loud] = [await taskThatIs('in_progress'), await taskThatIs('in_progress')];

    const byHand = await setStatus(silent, { status: 'failed' });
    const given = await setStatus(loud, { status: 'failed', error: { message: 'No', code: 'no' } });

    expect(byHand.body).toMatchObject({
      status: 'failed',
      error: { message: expect.stringContaining('by hand') },
      completed_at: expect.any(String),
    });
    expect(given.body.error).toEqual({ message: 'No', code: 'no' });
    expect((await server.events({ task_id: loud.id })).at(-1)).toMatchObject({
      type: 'task_failed',
      severity: 'error',
      data: { final: true },
    });
  });

  it('to pending begins anew with a first attempt', async () => {
    const task = await makeTask(server, { max_attempts: 1 });
    await setStatus(task, { status: 'in_progress', progress_percentage: 40 });
    await setStatus(task, { status: 'failed' });

    const { body } = await setStatus(task, { status: 'pending' });

    expect(body).toMatchObject({
      status: 'pending',
      attempt: 0,
      error: null,
      progress_percentage: 0,
      started_at: null,
      completed_at: null,
      ready_at: expect.any(String),
    });
  });

  it.each([
    ['completed', { tasks_completed: 1, tasks_failed: 0 }],
    ['failed', { tasks_completed: 0, tasks_failed: 1 }],
    ['cancelled', { tasks_completed: 0, tasks_failed: 0 }],
    ['pending', { tasks_completed: 0, tasks_failed: 0 }],
  ])('to %s while an agent has it ends the lease and closes its books', async (status, metrics) => {
    const { agent, task, leased } = await held();

    const moved = await setStatus(task, { status });

    expect(moved).toMatchObject({ status: 200, body: { status } });
    expect(await heldTasks(agent)).toBe(0);
    expect((await server.get(`/api/v1/agents/${agent.id}`)).body).toMatchObject({
      current_task: null,
      performance_metrics: metrics,
    });
    expect(await complete(server, leased, { output: 'late' })).toMatchObject({
      status: 409,
      body: { code: 'lease_lost' },
    });
    expect(await fail(server, leased)).toMatchObject({ status: 409, body: { code: 'lease_lost' } });
    expect((await read(task)).output).toBeNull();
  });

  it.each([
    ['no status', {}, '/status'],
    ['null for a status', { status: null }, '/status'],
    ['an unknown status', { status: 'done' }, '/status'],
    ['too much progress', { status: 'completed', progress_percentage: 101 }, '/progress_percentage'],
    ['a score below 0', { status: 'completed', quality_score: -1 }, '/quality_score'],
    ['an error without a message', { status: 'cancelled', error: {} }, '/error/message'],
    ['an error that is text', { status: 'cancelled', error: 'no' }, '/error'],
    ['U+0000 in the output', { status: 'completed', output: { text: '\u0000' } }, '/output/text'],
  ])('refuses %s', async (_what, body, pointer) => {
    const task = await makeTask(server);

    expect(await setStatus(task, body)).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
    expect((await read(task)).status).toBe('pending');
  });

  describe('by its progress', () => {
    const setProgress = (task: { id: string }, body: object) => server.patch(`/api/v1/tasks/${task.id}/progress`, body);

    it('notes how far it is, and tells', async () => {
      const task = await makeTask(server);

      const { body } = await setProgress(task, { progress_percentage: 12.5, subtasks_completed: 1, subtasks_total: 8 });
      const partial = await setProgress(task, { progress_percentage: 25, subtasks_completed: 2 });

      expect(body).toMatchObject({
        status: 'pending',
        progress_percentage: 12.5,
        progress: 12.5,
        subtasks_completed: 1,
        subtasks_total: 8,
      });
      expect(partial.body).toMatchObject({ progress: 25, subtasks_completed: 2, subtasks_total: 8 });
      expect((await server.events({ task_id: task.id })).slice(1)).toMatchObject([
        { type: 'task_progress_updated', data: { progress: 12.5, subtasks_completed: 1, subtasks_total: 8 } },
        { type: 'task_progress_updated', data: { progress: 25, subtasks_completed: 2, subtasks_total: 8 } },
      ]);
    });

    it('completes it at 100 when nobody has leased it', async () => {
      const task = await makeTask(server);

      const { body } = await setProgress(task, { progress_percentage: 100 });

      expect(body).toMatchObject({ status: 'completed', completed_at: expect.any(String) });
      expect(await typesOf(task)).toEqual(['task_created', 'task_progress_updated', 'task_completed']);
    });

    it('leaves it to the agent that has leased it', async () => {
      const { task, leased } = await held();

      const { body } = await setProgress(task, { progress_percentage: 100 });

      expect(body).toMatchObject({ status: 'in_progress', progress: 100 });
      expect((await complete(server, leased)).body.status).toBe('completed');
    });

    it.each(['blocked', 'completed', 'failed', 'cancelled', 'skipped'])('refuses one that is %s', async (status) => {
      const task = await taskThatIs(status);

      expect(await setProgress(task, { progress_percentage: 50 })).toMatchObject({
        status: 409,
        body: { code: 'task_move_refused' },
      });
    });

    it.each([
      [
        'more subtasks than there are',
        { progress_percentage: 1, subtasks_completed: 3, subtasks_total: 2 },
        '/subtasks_completed',
      ],
      [
        'more subtasks than were named before',
        { progress_percentage: 1, subtasks_completed: 5 },
        '/subtasks_completed',
      ],
      ['no progress', {}, '/progress_percentage'],
      ['null for progress', { progress_percentage: null }, '/progress_percentage'],
      ['progress above 100', { progress_percentage: 100.5 }, '/progress_percentage'],
      ['progress as text', { progress_percentage: '50' }, '/progress_percentage'],
      ['half a subtask', { progress_percentage: 1, subtasks_total: 1.5 }, '/subtasks_total'],
    ])('refuses %s', async (_what, body, pointer) => {
      const task = await makeTask(server, { subtasks_total: 4 });

      expect(await setProgress(task, body)).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
      expect(await typesOf(task)).toEqual(['task_created']);
    });
  });

  describe('to an agent', () => {
    const assign = (task: { id: string }, body: object) => server.patch(`/api/v1/tasks/${task.id}/assign`, body);

    it('gives it to that one alone, and back to all', async () => {
      const agent = await makeAgent(server, { key: 'assignee' });
      const task = await makeTask(server);

      const assigned = await assign(task, { assigned_agent_id: 'assignee' });
      const again = await assign(task, { agent_id: agent.id });
      const unassigned = await assign(task, { assigned_agent_id: null });

      expect(assigned.body).toMatchObject({
        assigned_agent_id: agent.id,
        assigned_agent: { id: agent.id, name: agent.name },
      });
      expect(again.body).toEqual(assigned.body);
      expect(unassigned.body).toMatchObject({ assigned_agent_id: null, assigned_agent: null });
      expect((await server.events({ task_id: task.id })).slice(1)).toMatchObject([
        { type: 'task_assigned', agent_id: agent.id, data: { previous_agent_id: null } },
        { type: 'task_assigned', agent_id: null, data: { previous_agent_id: agent.id } },
      ]);
    });

    it.each([
      ['nothing', {}],
      ['an unknown id', { assigned_agent_id: UNKNOWN }],
      ['an unknown key', { assigned_agent_id: 'nobody' }],
      ['what can be neither', { assigned_agent_id: '' }],
      ['another type', { assigned_agent_id: 7 }],
    ])('refuses %s', async (_what, body) => {
      const task = await makeTask(server);

      expect(await assign(task, body)).toMatchObject({
        status: 422,
        body: { errors: [{ pointer: '/assigned_agent_id' }] },
      });
    });

    it('is refused while another has leased it, and once it is completed', async () => {
      const { task } = await held();
      const completed = await taskThatIs('completed');
      const other = await makeAgent(server);

      expect(await assign(task, { assigned_agent_id: other.id })).toMatchObject({
        status: 409,
        body: { code: 'task_in_progress' },
      });
      expect(await assign(completed, { assigned_agent_id: other.id })).toMatchObject({ status: 422 });
    });
  });

  describe('by cancelling it', () => {
    const cancel = (task: { id: string }) => server.post(`/api/v1/tasks/${task.id}/cancel`);
    const renew = ({ task, lease: { token } }: Leased) =>
      server.post(`/api/v1/tasks/${task.id}/lease/heartbeat`, { lease_token: token });
    const toldTo = async (agent: { id: string }) =>
      (await server.post(`/api/v1/agents/${agent.id}/heartbeat`)).body.cancel_requested as string[];

    it.each(['pending', 'blocked', 'in_progress', 'waiting_for_hitl'])(
      'stops one that is %s at once',
      async (status) => {
        const task = await taskThatIs(status);

        expect(await cancel(task)).toMatchObject({
          status: 200,
          body: { status: 'cancelled', completed_at: expect.any(String), ready_at: null },
        });
        expect((await typesOf(task)).at(-1)).toBe('task_cancelled');
      },
    );

    it.each(['completed', 'failed', 'cancelled', 'skipped'])('is refused for one that is %s', async (status) => {
      const task = await taskThatIs(status);

      expect(await cancel(task)).toMatchObject({ status: 409, body: { code: 'task_move_refused' } });
    });

    it('asks the agent that has it, through its own heartbeat and that of the lease', async () => {
      const { agent, task, leased } = await held();
      const before = (await renew(leased)).body;

      const asked = await cancel(task);
      const again = await cancel(task);

      expect(before.cancel_requested).toBe(false);
      expect(asked).toMatchObject({ status: 200, body: { status: 'in_progress', cancel_requested: true } });
      expect(again.status).toBe(200);
      expect((await renew(leased)).body).toMatchObject({ cancel_requested: true });
      expect(await toldTo(agent)).toEqual([task.id]);
      expect((await typesOf(task)).filter((type) => type === 'task_updated')).toHaveLength(1);
    });

    it.each([
      ['fails', (leased: Leased) => fail(server, leased)],
      [
        'gives it back',
        ({ task, lease: { token } }: Leased) =>
          server.post(`/api/v1/tasks/${task.id}/lease/release`, { lease_token: token }),
      ],
    ])('ends when the agent %s', async (_how, end) => {
      const { agent, task, leased } = await held();
      await cancel(task);

      const ended = await end(leased);

      expect(ended).toMatchObject({ status: 200, body: { status: 'cancelled', cancel_requested: false } });
      expect(await heldTasks(agent)).toBe(0);
      expect(await toldTo(agent)).toEqual([]);
      expect((await typesOf(task)).at(-1)).toBe('task_cancelled');
    });

    it('comes too late when the agent completes', async () => {
      const { agent, task, leased } = await held();
      await cancel(task);

      expect((await complete(server, leased)).body).toMatchObject({ status: 'completed', cancel_requested: false });
      expect(await toldTo(agent)).toEqual([]);
    });

    it('lets exactly one of two simultaneous attempts through', async () => {
      const task = await makeTask(server);

      const [first, second] = await Promise.all([cancel(task), cancel(task)]);

      expect(new Set([first.status, second.status])).toEqual(new Set([200, 409]));
      expect(await typesOf(task)).toEqual(['task_created', 'task_cancelled']);
    });
  });

  describe('by retrying it', () => {
    const retry = (task: { id: string }) => server.post(`/api/v1/tasks/${task.id}/retry`);

    it.each(['failed', 'cancelled'])('begins one that is %s anew', async (status) => {
      const task = await taskThatIs(status);

      const { body } = await retry(task);

      expect(body).toMatchObject({ status: 'pending', attempt: 0, error: null, ready_at: expect.any(String) });
      expect((await server.events({ task_id: task.id })).at(-1)).toMatchObject({
        type: 'task_updated',
        data: { old_status: status, new_status: 'pending' },
      });
    });

    it.each(['pending', 'blocked', 'in_progress', 'waiting_for_hitl', 'completed', 'skipped'])(
      'is refused for one that is %s',
      async (status) => {
        const task = await taskThatIs(status);

        expect(await retry(task)).toMatchObject({ status: 409, body: { code: 'task_move_refused' } });
      },
    );
  });
});
