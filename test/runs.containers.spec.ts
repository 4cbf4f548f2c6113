import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, fail, lease, makeAgent, makeTask, makeWorkflow } from './support/makers.js';
import { act, eventsOfRun, execute, getRun, getWorkflow, tasksOf, workOff } from './support/runs.js';
import { startTestApp, type TestApp } from './support/test-app.js';

let server: TestApp;

beforeAll(async () => {
  server = await startTestApp();
});
afterAll(() => server.close());

/** A workflow without a definition, and how to put tasks into it. */
const makeContainer = async () => {
  const agent = await makeAgent(server, { max_concurrent_tasks: 100 });
  const { id: workflow_id } = await makeWorkflow(server);
  const add = (title: string, fields: object = {}) =>
    makeTask(server, { title, workflow_id, agent_type: agent.type, ...fields });
  return { agent, workflow_id, add };
};
const titlesOf = (held: { task: { title: string } }[]) => held.map(({ task }) => task.title);
const statusesOf = async (run_id: string) =>
  Object.fromEntries((await tasksOf(server, run_id)).map(({ title, status }) => [title, status]));

describe('a workflow without a definition', () => {
  it('keeps its tasks until it is executed, then does them by their dependencies', async () => {
    const { agent, workflow_id, add } = await makeContainer();
    const first = await add('first');
    const second = await add('second', { dependencies: [first.id] });
    await add('third', { dependencies: [first.id, second.id] });
    const before = await lease(server, agent, { max_tasks: 10 });

    const { body } = await execute(server, workflow_id, { input: { kept: true } });
    const whileRunning = await lease(server, agent, { max_tasks: 10 });
    await complete(server, whileRunning[0]!);
    const done = await workOff(server, agent);

    expect(before).toEqual([]);
    expect(body.run).toMatchObject({
      status: 'running',
      input: { kept: true },
      steps: [],
      total_tasks: 3,
      progress_percentage: 0,
    });
    expect(titlesOf(whileRunning)).toEqual(['first']);
    expect(titlesOf(done)).toEqual(['second', 'third']);
    expect(await getRun(server, body.run.id)).toMatchObject({
      status: 'completed',
      output: null,
      completed_tasks: 3,
      progress_percentage: 100,
    });
    expect(await getWorkflow(server, workflow_id)).toMatchObject({
      status: 'completed',
      total_tasks: 3,
      completed_tasks: 3,
      progress: 100,
    });
    expect((await server.get(`/api/v1/workflows/${workflow_id}/graph`)).body).toEqual({ nodes: [], edges: [] });
    const types = await eventsOfRun(server, workflow_id);
    expect(types.filter((type) => type.startsWith('run_'))).toEqual(['run_started', 'run_completed']);
  });

  it('without tasks is done at once', async () => {
    const { workflow_id } = await makeContainer();

    expect((await execute(server, workflow_id)).body.run).toMatchObject({
      status: 'completed',
      total_tasks: 0,
      progress_percentage: 100,
    });
  });

  it('takes up tasks that are created during a run', async () => {
    const { agent, workflow_id, add } = await makeContainer();
    await add('first');
    const { run } = (await execute(server, workflow_id)).body;

    const joined = await add('second');
    const whileRunning = await getWorkflow(server, workflow_id);
    await act(server, run.id, 'pause');
    const held = await add('third');
    const beforeResume = titlesOf(await lease(server, agent, { max_tasks: 10 }));
    await act(server, run.id, 'resume');
    const done = titlesOf(await workOff(server, agent));

    expect(joined).toMatchObject({ run_id: run.id, status: 'pending' });
    expect(whileRunning).toMatchObject({ total_tasks: 2 });
    expect(held).toMatchObject({ run_id: run.id });
    expect(beforeResume).toEqual([]);
    expect(done).toEqual(['first', 'second', 'third']);
    expect(await getRun(server, run.id)).toMatchObject({ status: 'completed', total_tasks: 3, completed_tasks: 3 });
  });

  it('fails when a task fails, after all that can be done is done', async () => {
    const { agent, workflow_id, add } = await makeContainer();
    const fails = await add('fails', { priority: 'critical' });
    await add('after', { dependencies: [fails.id] });
    await add('beside');
    const { run } = (await execute(server, workflow_id)).body;

    const [held] = await lease(server, agent);
    await fail(server, held!, { retryable: false });
    const between = await getRun(server, run.id);
    await workOff(server, agent);

    expect(between).toMatchObject({ status: 'running', failed_tasks: 2, completed_tasks: 0 });
    expect(await statusesOf(run.id)).toEqual({ fails: 'failed', after: 'skipped', beside: 'completed' });
    expect(await getRun(server, run.id)).toMatchObject({
      status: 'failed',
      error: { code: 'tasks_failed', message: '2 of 3 tasks did not complete' },
      completed_tasks: 1,
    });
  });

  it('executed again does what is not completed', async () => {
    const { agent, workflow_id, add } = await makeContainer();
    const fails = await add('fails', { priority: 'critical' });
    await add('after', { dependencies: [fails.id] });
    await add('beside');
    const first = (await execute(server, workflow_id)).body.run;
    const [held] = await lease(server, agent);
    await fail(server, held!, { retryable: false });
    await workOff(server, agent);

    const { run } = (await execute(server, workflow_id)).body;
    const adopted = await tasksOf(server, run.id);
    const done = titlesOf(await workOff(server, agent));

    expect(run).toMatchObject({ run_number: 2, total_tasks: 2, status: 'running' });
    expect(adopted).toMatchObject([
      { title: 'fails', status: 'pending', attempt: 0, error: null, progress_percentage: 0, completed_at: null },
      { title: 'after', status: 'blocked', error: null, completed_at: null },
    ]);
    expect(done).toEqual(['fails', 'after']);
    expect(await getRun(server, run.id)).toMatchObject({ status: 'completed', completed_tasks: 2 });
    expect(await statusesOf(first.id)).toEqual({ beside: 'completed' });
    const revived = (await server.events({ run_id: run.id }))
      .filter(({ type }) => type === 'task_updated')
      .map(({ data }) => data);
    expect(revived.slice(0, 2)).toMatchObject([
      { title: 'fails', old_status: 'failed', new_status: 'pending' },
      { title: 'after', old_status: 'skipped', new_status: 'blocked' },
    ]);
  });

  it('counts a task again that is retried during the run', async () => {
    const { agent, workflow_id, add } = await makeContainer();
    await add('fails', { priority: 'critical' });
    await add('beside');
    const { run } = (await execute(server, workflow_id)).body;
    const [held] = await lease(server, agent);
    await fail(server, held!, { retryable: false });

    await server.post(`/api/v1/tasks/${held!.task.id}/retry`);
    const between = await getRun(server, run.id);
    await workOff(server, agent);

    expect(between).toMatchObject({ status: 'running', failed_tasks: 0 });
    expect(await getRun(server, run.id)).toMatchObject({ status: 'completed', completed_tasks: 2 });
  });

  it('goes on without a task that is deleted', async () => {
    const { agent, workflow_id, add } = await makeContainer();
    const first = await add('first');
    await add('second', { dependencies: [first.id] });
    const { run } = (await execute(server, workflow_id)).body;

    await server.delete(`/api/v1/tasks/${first.id}`);
    const done = titlesOf(await workOff(server, agent));

    expect(done).toEqual(['second']);
    expect(await getRun(server, run.id)).toMatchObject({ status: 'completed', total_tasks: 1 });
  });

  it('takes up a task that somebody works on by hand already', async () => {
    const { workflow_id, add } = await makeContainer();
    const task = await add('by hand');
    await server.patch(`/api/v1/tasks/${task.id}/status`, { status: 'in_progress' });

    const { run } = (await execute(server, workflow_id)).body;
    await server.patch(`/api/v1/tasks/${task.id}/status`, { status: 'completed' });

    expect(run).toMatchObject({ status: 'running', total_tasks: 1 });
    expect(await getRun(server, run.id)).toMatchObject({ status: 'completed', completed_tasks: 1 });
  });

  it('cancels all that is left with its run', async () => {
    const { agent, workflow_id, add } = await makeContainer();
    const first = await add('first');
    await add('second', { dependencies: [first.id] });
    const { run } = (await execute(server, workflow_id)).body;

    await act(server, run.id, 'cancel');

    expect(await statusesOf(run.id)).toEqual({ first: 'cancelled', second: 'cancelled' });
    expect(await getRun(server, run.id)).toMatchObject({ status: 'cancelled' });
    expect(await lease(server, agent)).toEqual([]);
    expect((await execute(server, workflow_id)).body.run).toMatchObject({ status: 'running', total_tasks: 2 });
    expect(titlesOf(await workOff(server, agent))).toEqual(['first', 'second']);
  });

  it('gives its tasks only to its agents', async () => {
    const { agent, workflow_id, add } = await makeContainer();
    const other = await makeAgent(server, { type: agent.type });
    await server.post(`/api/v1/workflows/${workflow_id}/agents`, { agent_id: other.id });
    await add('first');
    await execute(server, workflow_id);
    await add('second');

    expect(await lease(server, agent, { max_tasks: 10 })).toEqual([]);
    expect(titlesOf(await workOff(server, other))).toEqual(['first', 'second']);
  });
});

describe('tasks of a workflow with a definition', () => {
  it('that people add are no part of its runs', async () => {
    const agent = await makeAgent(server);
    const { id: workflow_id } = await makeWorkflow(server, { steps: [{ key: 'a', agent_type: 'nobody' }] });
    const { run } = (await execute(server, workflow_id)).body;

    const task = await makeTask(server, { workflow_id, agent_type: agent.type });
    await workOff(server, agent);

    expect(task).toMatchObject({ run_id: null, status: 'pending' });
    expect((await server.get(`/api/v1/tasks/${task.id}`)).body).toMatchObject({ status: 'completed' });
    expect(await getRun(server, run.id)).toMatchObject({ status: 'running', total_tasks: 1, completed_tasks: 0 });
  });

  it('are refused for a workflow that does not exist', async () => {
    const answer = await server.post('/api/v1/tasks', {
      title: 'x',
      workflow_id: '01890000-0000-7000-8000-000000000000',
    });

    expect(answer.body).toMatchObject({ status: 422, errors: [{ pointer: '/workflow_id' }] });
  });
});
