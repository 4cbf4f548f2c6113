import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RunRetention } from '../src/retention/run-retention.js';
import { complete, lease, makeTask, makeWorkflow } from './support/makers.js';
import { act, execute, getRun, getWorkflow, startRun, tasksOf, workOff } from './support/runs.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const DAYS = 30;
const STEPS = [{ key: 'list' }, { key: 'each', depends_on: ['list'], for_each: '[1, 2, 3]', input: '${{ item }}' }];

describe('the retention of runs', () => {
  let server: TestApp;
  /** Without background work, which could come before the test. */
  const start = async (days: number): Promise<void> => {
    server = await startTestApp({ environment: { RUN_RETENTION_DAYS: days, ROLE: 'api' } });
  };
  beforeEach(() => start(DAYS));
  afterEach(() => server.close());

  const removeOld = () => server.app.get(RunRetention).removeOld();

  /** As if the run had been made and had ended so many days ago. */
  const age = (run_id: string, days = DAYS + 1) =>
    server.database.query(
      `UPDATE workflow_runs SET created_at = created_at - make_interval(days => $2),
         completed_at = completed_at - make_interval(days => $2) WHERE id = $1`,
      [run_id, days],
    );

  const finishedRun = async () => {
    const started = await startRun(server, STEPS);
    await workOff(server, started.agent);
    expect(await getRun(server, started.run_id)).toMatchObject({ status: 'completed' });
    return started;
  };

  it('removes a run that ended long ago, with its tasks and steps, and leaves a trace', async () => {
    const { run_id, workflow_id } = await finishedRun();
    const [task] = await tasksOf(server, run_id);
    await age(run_id);

    expect(await removeOld()).toBe(1);

    expect((await server.get(`/api/v1/runs/${run_id}`)).status).toBe(404);
    expect((await server.get(`/api/v1/tasks/${task.id}`)).status).toBe(404);
    expect(await server.database.query('SELECT FROM run_steps WHERE run_id = $1', [run_id])).toEqual([]);
    expect((await server.events({ run_id })).at(-1)).toMatchObject({
      type: 'run_removed',
      data: { run_id, workflow_id, run_number: 1, status: 'completed', retention_days: DAYS },
    });
    expect((await server.events({ task_id: task.id })).length).toBeGreaterThan(0);
  });

  it('leaves a workflow that can be shown and executed again', async () => {
    const { run_id, workflow_id, agent } = await finishedRun();
    await age(run_id);
    await removeOld();

    expect(await getWorkflow(server, workflow_id)).toMatchObject({ latest_run_id: null, status: 'completed' });
    expect((await server.get(`/api/v1/workflows/${workflow_id}/graph`)).status).toBe(200);
    const { status, body } = await execute(server, workflow_id);
    await workOff(server, agent);

    expect(status).toBe(202);
    expect(await getRun(server, body.run.id)).toMatchObject({ run_number: 2, status: 'completed' });
  });

  it('keeps what is younger, and what has not ended, however old', async () => {
    const young = await finishedRun();
    const open = await startRun(server, STEPS);
    const paused = await startRun(server, STEPS);
    await act(server, paused.run_id, 'pause');
    await age(young.run_id, DAYS - 1);
    for (const { run_id } of [open, paused]) await age(run_id, 1_000);

    expect(await removeOld()).toBe(0);

    await act(server, paused.run_id, 'resume');
    for (const { agent, run_id } of [open, paused]) {
      await workOff(server, agent);
      expect(await getRun(server, run_id)).toMatchObject({ status: 'completed' });
    }
  });

  it('keeps a run that failed while one of its tasks is still in progress', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a' }, { key: 'b' }]);
    const [held] = await lease(server, agent);
    await act(server, run_id, 'cancel');
    await age(run_id);

    expect(await removeOld()).toBe(0);
    await complete(server, held!);

    expect(await removeOld()).toBe(1);
  });

  it('keeps a run while an open task elsewhere waits for one of its tasks', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a' }]);
    const [needed] = await tasksOf(server, run_id);
    const waiting = await makeTask(server, { agent_type: agent.type, dependencies: [needed.id] });
    const [held] = await lease(server, agent);
    await complete(server, held!);
    await age(run_id);

    expect(await removeOld()).toBe(0);
    await workOff(server, agent);

    expect(await removeOld()).toBe(1);
    expect((await server.get(`/api/v1/tasks/${waiting.id}`)).body).toMatchObject({ status: 'completed' });
  });

  it('keeps the run that a rerun repeats until that one has ended', async () => {
    const { agent, run_id, workflow_id } = await finishedRun();
    const { body } = await act(server, run_id, 'rerun', { from_failure: false });
    await age(run_id);

    expect(await removeOld()).toBe(0);
    await workOff(server, agent);

    expect(await removeOld()).toBe(1);
    expect(await getWorkflow(server, workflow_id)).toMatchObject({ latest_run_id: body.id ?? body.run?.id });
  });

  it('keeps the newest run of a workflow that is a container: its tasks belong to the workflow', async () => {
    const workflow = await makeWorkflow(server);
    const task = await makeTask(server, { workflow_id: workflow.id });
    const { body } = await execute(server, workflow.id);
    await server.patch(`/api/v1/tasks/${task.id}/status`, { status: 'completed' });
    expect(await getRun(server, body.run.id)).toMatchObject({ status: 'completed' });
    await age(body.run.id);

    expect(await removeOld()).toBe(0);
    expect((await server.get(`/api/v1/tasks/${task.id}`)).status).toBe(200);
  });

  it('leaves tasks that belong to no run', async () => {
    const task = await makeTask(server);
    await server.post(`/api/v1/tasks/${task.id}/cancel`);
    await server.database.query(`UPDATE tasks SET completed_at = now() - interval '10 years' WHERE id = $1`, [task.id]);

    expect(await removeOld()).toBe(0);
    expect((await server.get(`/api/v1/tasks/${task.id}`)).status).toBe(200);
  });

  it('removes more tasks than fit into one transaction', async () => {
    const { run_id } = await finishedRun();
    await server.database.query(
      `INSERT INTO tasks SELECT (json_populate_record(t, json_build_object('id', gen_random_uuid()))).*
       FROM tasks t, generate_series(1, 2500) WHERE t.run_id = $1 AND t.step_key = 'list'`,
      [run_id],
    );
    await age(run_id);

    expect(await removeOld()).toBe(1);
    expect(await server.database.query('SELECT FROM tasks WHERE run_id = $1', [run_id])).toEqual([]);
  });

  it('is off by default', async () => {
    await server.close();
    await start(0);
    const { run_id } = await finishedRun();
    await age(run_id, 10_000);

    expect(await removeOld()).toBe(0);
  });
});
