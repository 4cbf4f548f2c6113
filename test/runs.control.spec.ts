import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, fail, lease, makeWorkflow } from './support/makers.js';
import { eventually } from './support/eventually.js';
import {
  act,
  eventsOfRun,
  execute,
  getRun,
  getWorkflow,
  startRun,
  sorted,
  statuses,
  tasksOf,
  workOff,
} from './support/runs.js';
import { startTestApp, type TestApp } from './support/test-app.js';

let server: TestApp;

beforeAll(async () => {
  server = await startTestApp();
});
afterAll(() => server.close());

const setStatus = (workflow_id: string, status: unknown) =>
  server.patch(`/api/v1/workflows/${workflow_id}/status`, { status });
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();

describe('pausing a run', () => {
  it('leases nothing more, lets what is in progress end, and starts nothing, until it is resumed', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, [
      { key: 'a', for_each: '[1, 2, 3]' },
      { key: 'b', depends_on: ['a'] },
    ]);
    const held = await lease(server, agent, { max_tasks: 2 });

    const paused = await act(server, run_id, 'pause');
    const nothing = await lease(server, agent, { max_tasks: 10 });
    for (const each of held) await complete(server, each);
    const whilePaused = await getWorkflow(server, workflow_id);
    const resumed = await act(server, run_id, 'resume');
    const done = await workOff(server, agent);

    expect(paused).toMatchObject({ status: 200, body: { status: 'paused', completed_tasks: 0 } });
    expect(nothing).toEqual([]);
    expect(whilePaused).toMatchObject({ status: 'paused', is_paused: true, completed_tasks: 2 });
    expect(resumed).toMatchObject({ status: 200, body: { status: 'running' } });
    expect(done.map(({ task }) => task.step_key)).toEqual(['a', 'b']);
    expect(await getWorkflow(server, workflow_id)).toMatchObject({ status: 'completed', is_paused: false });
    expect((await eventsOfRun(server, workflow_id)).filter((type) => /run_(paused|resumed)/.test(type))).toEqual([
      'run_paused',
      'run_resumed',
    ]);
  });

  it('does not start the next step when the last task ends meanwhile', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a' }, { key: 'b', depends_on: ['a'] }]);
    const [held] = await lease(server, agent);
    await act(server, run_id, 'pause');

    await complete(server, held!);

    expect(statuses(await getRun(server, run_id))).toEqual({ a: 'completed', b: 'pending' });
    expect(statuses((await act(server, run_id, 'resume')).body)).toEqual({ a: 'completed', b: 'running' });
    expect(await workOff(server, agent)).toHaveLength(1);
  });

  it('ends the run when nothing is left to do', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a' }]);
    const [held] = await lease(server, agent);
    await act(server, run_id, 'pause');

    await complete(server, held!, { output: 1 });

    expect(await getRun(server, run_id)).toMatchObject({ status: 'completed', output: { a: 1 } });
  });

  it('keeps back a task that fails and would retry', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a', retry: { backoff_seconds: 0 } }]);
    const [held] = await lease(server, agent);
    await act(server, run_id, 'pause');

    await fail(server, held!);
    const whilePaused = await lease(server, agent, { wait_seconds: 1 });
    await act(server, run_id, 'resume');

    expect(whilePaused).toEqual([]);
    expect(await lease(server, agent)).toMatchObject([{ task: { id: held!.task.id }, lease: { attempt: 2 } }]);
  });

  it('keeps max_parallel when it is resumed', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a', for_each: '[1, 2, 3, 4, 5]', max_parallel: 2 }]);
    const [held] = await lease(server, agent);
    await act(server, run_id, 'pause');
    await act(server, run_id, 'resume');

    expect(await lease(server, agent, { max_tasks: 10 })).toHaveLength(1);
    await complete(server, held!);
    expect(await lease(server, agent, { max_tasks: 10 })).toHaveLength(1);
  });

  it('fails it when what is in progress fails', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a' }, { key: 'b' }]);
    const [held] = await lease(server, agent);
    await act(server, run_id, 'pause');

    await fail(server, held!, { retryable: false });

    expect(await getRun(server, run_id)).toMatchObject({ status: 'failed' });
    expect(sorted((await tasksOf(server, run_id)).map(({ status }) => status))).toEqual(['failed', 'skipped']);
  });

  it('is refused when it makes no sense', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a' }]);

    expect(await act(server, run_id, 'resume')).toMatchObject({ status: 409, body: { code: 'run_move_refused' } });
    await act(server, run_id, 'pause');
    expect(await act(server, run_id, 'pause')).toMatchObject({ status: 409, body: { code: 'run_move_refused' } });
    await act(server, run_id, 'resume');
    await workOff(server, agent);
    for (const action of ['pause', 'resume', 'cancel'] as const) {
      expect(await act(server, run_id, action)).toMatchObject({ status: 409, body: { code: 'run_move_refused' } });
    }
  });
});

describe('cancelling a run', () => {
  it('cancels what waits, asks agents to stop what is in progress, and starts nothing more', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, [
      { key: 'a', for_each: '[1, 2, 3]' },
      { key: 'b', depends_on: ['a'] },
    ]);
    const [done, held] = await lease(server, agent, { max_tasks: 2 });
    await complete(server, done!);

    const cancelled = await act(server, run_id, 'cancel');

    expect(cancelled).toMatchObject({
      status: 200,
      body: { status: 'cancelled', progress_percentage: 16.67, completed_at: expect.any(String) },
    });
    expect(statuses(cancelled.body)).toEqual({ a: 'cancelled', b: 'cancelled' });
    expect(await getWorkflow(server, workflow_id)).toMatchObject({ status: 'cancelled', progress: 16.67 });
    expect(sorted((await tasksOf(server, run_id)).map(({ status }) => status))).toEqual([
      'cancelled',
      'completed',
      'in_progress',
    ]);
    const beat = await server.post(`/api/v1/tasks/${held!.task.id}/lease/heartbeat`, {
      lease_token: held!.lease.token,
    });
    expect(beat.body).toMatchObject({ cancel_requested: true });
    await complete(server, held!);
    expect(await getRun(server, run_id)).toMatchObject({ status: 'cancelled', completed_tasks: 1 });
    expect(await lease(server, agent)).toEqual([]);
    const events = (await eventsOfRun(server, workflow_id)).slice(-5);
    expect(events.slice(0, 2)).toEqual(['workflow_updated', 'run_cancelled']);
    // One was waiting, one was told to stop and completed instead.
    expect(events.slice(2, 4).toSorted()).toEqual(['task_cancelled', 'task_updated']);
    expect(events[4]).toBe('task_completed');
  });

  it('works while it is paused or has not begun', async () => {
    const { workflow_id, run_id } = await startRun(server, [{ key: 'a' }]);
    await act(server, run_id, 'pause');

    const paused = await act(server, run_id, 'cancel');
    const { body } = await execute(server, workflow_id, { scheduled_at: inSeconds(3600) });
    const scheduled = await act(server, body.run.id, 'cancel');

    expect(paused.body).toMatchObject({ status: 'cancelled', steps: [{ status: 'cancelled' }] });
    expect((await tasksOf(server, run_id)).map(({ status }) => status)).toEqual(['cancelled']);
    expect(scheduled.body).toMatchObject({
      status: 'cancelled',
      started_at: null,
      progress_percentage: 0,
      steps: [{ status: 'cancelled' }],
    });
    expect((await execute(server, workflow_id)).status).toBe(202);
  });
});

describe('repeating a run', () => {
  const STEPS = [
    { key: 'a' },
    { key: 'not_wanted', when: 'false' },
    { key: 'b', depends_on: ['a'], input: { from: '${{ steps.a.output }}' } },
    { key: 'c', depends_on: ['b'] },
    { key: 'beside' },
  ];

  it('does all of it again, with the same input', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, STEPS, { input: { n: 1 } });
    await workOff(server, agent);
    await server.put(`/api/v1/workflows/${workflow_id}`, { steps: [{ key: 'changed' }], parameters: { n: 2 } });

    const { status, body } = await act(server, run_id, 'rerun');

    expect(status).toBe(202);
    expect(body).toMatchObject({
      run_number: 2,
      trigger: 'rerun',
      rerun_of: run_id,
      input: { n: 1 },
      status: 'running',
    });
    expect(statuses(body)).toMatchObject({ a: 'running', not_wanted: 'skipped', b: 'pending', beside: 'running' });
    expect(await workOff(server, agent)).toHaveLength(4);
    expect(await getWorkflow(server, workflow_id)).toMatchObject({ latest_run_id: body.id, status: 'completed' });
  });

  it('from the failure keeps what succeeded and repeats the failed step and what follows', async () => {
    const { agent, run_id } = await startRun(server, STEPS);
    const first = await lease(server, agent, { max_tasks: 2 });
    for (const each of first) await complete(server, each, { output: `old ${each.task.step_key}` });
    const [b] = await lease(server, agent);
    await fail(server, b!, { retryable: false });

    const { body } = await act(server, run_id, 'rerun', { from_failure: true });
    const done = await workOff(server, agent);

    expect(statuses(body)).toEqual({
      a: 'completed',
      not_wanted: 'skipped',
      b: 'running',
      c: 'pending',
      beside: 'completed',
    });
    expect(body).toMatchObject({ total_tasks: 3, completed_tasks: 2, progress_percentage: 60, rerun_of: run_id });
    expect(done.map(({ task }) => [task.step_key, task.input])).toEqual([
      ['b', { from: 'old a' }],
      ['c', {}],
    ]);
    expect(await getRun(server, body.id)).toMatchObject({
      status: 'completed',
      output: { not_wanted: null, c: 'did c', beside: 'old beside' },
      completed_tasks: 4,
    });
    expect(await getRun(server, run_id)).toMatchObject({ status: 'failed' });
  });

  it('from the failure also does what was cancelled, and what the failure kept from beginning', async () => {
    const { agent, run_id } = await startRun(server, [
      { key: 'fails' },
      { key: 'in_progress' },
      { key: 'a' },
      { key: 'ready', depends_on: ['a'] },
    ]);
    const held = await lease(server, agent, { max_tasks: 3 });
    const of = (key: string) => held.find(({ task }) => task.step_key === key)!;
    await act(server, run_id, 'pause');
    await complete(server, of('a'));
    await fail(server, of('fails'), { retryable: false });

    const { body } = await act(server, run_id, 'rerun', { from_failure: true });

    expect(statuses(await getRun(server, run_id))).toEqual({
      fails: 'failed',
      in_progress: 'cancelled',
      a: 'completed',
      ready: 'skipped',
    });
    expect(statuses(body)).toEqual({ fails: 'running', in_progress: 'running', a: 'completed', ready: 'running' });
    await fail(server, of('in_progress'));
    await workOff(server, agent);
    expect(await getRun(server, body.id)).toMatchObject({ status: 'completed' });
  });

  it('from the failure repeats a step that failed while the others went on', async () => {
    const { agent, run_id } = await startRun(server, [
      { key: 'a', on_failure: 'continue' },
      { key: 'b', depends_on: ['a'] },
      { key: 'beside' },
    ]);
    const held = await lease(server, agent, { max_tasks: 2 });
    await fail(
      server,
      held.find(({ task }) => task.step_key === 'a')!,
      { retryable: false },
    );
    await workOff(server, agent);
    await complete(
      server,
      held.find(({ task }) => task.step_key === 'beside')!,
    );

    const { body } = await act(server, run_id, 'rerun', { from_failure: true });

    expect(statuses(body)).toEqual({ a: 'running', b: 'pending', beside: 'completed' });
  });

  it('from the failure of a run that did not fail is over at once, with the old results', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a', for_each: '[1, 2]' }]);
    await workOff(server, agent);

    const { body } = await act(server, run_id, 'rerun', { from_failure: true });

    expect(body).toMatchObject({
      status: 'completed',
      output: { a: ['did a #1', 'did a #2'] },
      progress_percentage: 100,
    });
  });

  it('waits until the live run is over, and takes only true or false', async () => {
    const { run_id } = await startRun(server, [{ key: 'a' }]);

    expect(await act(server, run_id, 'rerun')).toMatchObject({ status: 409, body: { code: 'workflow_is_running' } });
    for (const from_failure of [null, 'yes', 1]) {
      expect((await act(server, run_id, 'rerun', { from_failure })).body).toMatchObject({
        status: 422,
        errors: [{ pointer: '/from_failure' }],
      });
    }
  });
});

describe('a run for later', () => {
  it('begins when it is due', async () => {
    const { id } = await makeWorkflow(server, { steps: [{ key: 'a', agent_type: 'nobody' }] });

    const { body } = await execute(server, id, { scheduled_at: inSeconds(0.5) });

    expect(body.run).toMatchObject({
      status: 'scheduled',
      started_at: null,
      scheduled_at: expect.any(String),
      steps: [{ status: 'pending' }],
    });
    expect(body.workflow).toMatchObject({ status: 'scheduled', scheduled_at: body.run.scheduled_at });
    await eventually(async () =>
      expect(await getRun(server, body.run.id)).toMatchObject({ status: 'running', steps: [{ status: 'running' }] }),
    );
    const started = (await server.events({ run_id: body.run.id })).find(({ type }) => type === 'run_started')!;
    expect(started).toMatchObject({ source: 'scheduler' });
    expect(new Date(started.created_at).getTime()).toBeGreaterThanOrEqual(new Date(body.run.scheduled_at).getTime());
  });

  it('blocks others, and does not begin before its time', async () => {
    const { id } = await makeWorkflow(server, { steps: [{ key: 'a', agent_type: 'nobody' }] });
    const { body } = await execute(server, id, { scheduled_at: inSeconds(3600) });

    expect(await execute(server, id)).toMatchObject({ status: 409, body: { code: 'workflow_is_running' } });
    expect(await act(server, body.run.id, 'pause')).toMatchObject({ status: 409 });
    expect(await act(server, body.run.id, 'resume')).toMatchObject({ status: 409 });
    expect(await tasksOf(server, body.run.id)).toEqual([]);
  });

  it('begins at once when its time has passed', async () => {
    const { id } = await makeWorkflow(server, { steps: [{ key: 'a', agent_type: 'nobody' }] });

    const { body } = await execute(server, id, { scheduled_at: inSeconds(-60) });

    expect(body.run).toMatchObject({ status: 'running', scheduled_at: null });
  });
});

describe('the status of a workflow', () => {
  it('pauses, resumes and cancels its live run', async () => {
    const { workflow_id, run_id } = await startRun(server, [{ key: 'a' }]);

    expect(await setStatus(workflow_id, 'paused')).toMatchObject({
      status: 200,
      body: { status: 'paused', is_paused: true },
    });
    expect(await setStatus(workflow_id, 'running')).toMatchObject({
      status: 200,
      body: { status: 'running', is_paused: false },
    });
    expect(await setStatus(workflow_id, 'cancelled')).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    expect(await getRun(server, run_id)).toMatchObject({ status: 'cancelled' });
  });

  it('is active or inactive while no run is live', async () => {
    const { agent, workflow_id } = await startRun(server, [{ key: 'a' }]);

    expect(await setStatus(workflow_id, 'inactive')).toMatchObject({
      status: 409,
      body: { code: 'workflow_is_running' },
    });
    await workOff(server, agent);
    expect(await setStatus(workflow_id, 'inactive')).toMatchObject({ status: 200, body: { status: 'inactive' } });
    expect(await execute(server, workflow_id)).toMatchObject({ status: 409, body: { code: 'workflow_inactive' } });
    expect(await setStatus(workflow_id, 'active')).toMatchObject({ status: 200, body: { status: 'active' } });
    expect((await execute(server, workflow_id)).status).toBe(202);
    const changes = (await server.events({ workflow_id }))
      .filter(({ type }) => type === 'workflow_updated')
      .map(({ data }) => data.new_status);
    expect(changes).toEqual(['running', 'completed', 'inactive', 'active', 'running']);
  });

  it('is not set to anything else, nor without a run', async () => {
    const { id } = await makeWorkflow(server);

    for (const status of ['pending', 'scheduled', 'completed', 'failed', 'paused', 'running', 'cancelled']) {
      expect(await setStatus(id, status)).toMatchObject({ status: 409, body: { code: 'workflow_move_refused' } });
    }
    for (const status of ['nonsense', null, 1, undefined]) {
      expect((await setStatus(id, status)).body).toMatchObject({ status: 422, errors: [{ pointer: '/status' }] });
    }
    expect(await getWorkflow(server, id)).toMatchObject({ status: 'pending' });
  });
});
