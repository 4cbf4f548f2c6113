import { Injectable, Module } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Within } from '../src/platform/events/handlers.js';
import { TaskCompletions } from '../src/tasks/task-completions.js';
import { RunStarted, RunStepCompleted } from '../src/workflows/workflows.events.js';
import { complete, lease, type Leased, makeAgent, makeWorkflow } from './support/makers.js';
import { openTransaction } from './support/open-transaction.js';
import { execute, getRun, statuses, tasksOf } from './support/runs.js';
import { startTestApp, type TestApp } from './support/test-app.js';

/** Breaks whatever its workflow does in a transaction. */
@Injectable()
class Saboteur {
  static workflow_id: string | null = null;

  @Within([RunStarted, RunStepCompleted])
  breakIt({ workflow_id }: RunStarted | RunStepCompleted): void {
    if (workflow_id === Saboteur.workflow_id) throw new Error('sabotage');
  }
}

@Module({ providers: [Saboteur] })
class SabotageModule {}

const STEPS = [
  { key: 'one' },
  { key: 'two', depends_on: ['one'], input: { before: '${{ steps.one.output }}' } },
  { key: 'three', depends_on: ['two'], for_each: 'steps.two.output.items', input: { item: '${{ item * 2 }}' } },
];

describe('runs that begin and move on at the same time', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp({ extra: [SabotageModule] });
  });
  afterAll(() => server.close());

  const times = <T>(count: number, make: (index: number) => Promise<T>) =>
    Promise.all(Array.from({ length: count }, (_, index) => make(index)));

  async function makeWorkflows(count: number, fields: object = {}) {
    const agent = await makeAgent(server, { max_concurrent_tasks: 100 });
    const steps = STEPS.map((step) => ({ ...step, agent_type: agent.type }));
    return { agent, workflows: await times(count, () => makeWorkflow(server, { steps, ...fields })) };
  }

  const beginAll = async (workflows: { id: string }[]): Promise<string[]> => {
    const answers = await Promise.all(workflows.map(({ id }) => execute(server, id)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    return answers.map(({ body }) => body.run.id as string);
  };
  const completeAll = (held: Leased[], outputOf: (held: Leased) => unknown) =>
    Promise.all(held.map((each) => complete(server, each, { output: outputOf(each) })));
  const statusesOf = (answers: { status: number }[]) => answers.map(({ status }) => status);

  it('each have their own steps, outputs, events and requests', async () => {
    const { agent, workflows } = await makeWorkflows(12);
    const runs = await beginAll(workflows);

    await completeAll(await lease(server, agent, { max_tasks: 50 }), ({ task }) => ({ of: task.run_id }));
    const seconds = await lease(server, agent, { max_tasks: 50 });
    expect(seconds).toHaveLength(12);
    for (const { task } of seconds) expect(task.input).toEqual({ before: { of: task.run_id } });
    await completeAll(seconds, ({ task }) => ({ items: [1, runs.indexOf(task.run_id)] }));
    const thirds = await lease(server, agent, { max_tasks: 50 });
    expect(thirds).toHaveLength(24);
    await completeAll(thirds, ({ task }) => task.input.item);

    for (const [index, id] of runs.entries()) {
      const run = await getRun(server, id);
      expect(run).toMatchObject({ status: 'completed', output: { three: [2, index * 2] }, progress_percentage: 100 });
      const events = await server.events({ run_id: id });
      const ofTypes = (...types: string[]) => events.filter(({ type }) => types.includes(type));
      // The task's completion, its step's, and the next step's start came in one request, the next run's in another.
      for (const { task_id, metadata } of ofTypes('task_completed')) {
        const together = events.filter(({ metadata: other }) => other.request_id === metadata.request_id);
        expect(new Set(together.map((event) => event.run_id))).toEqual(new Set([id]));
        expect(together.filter(({ type }) => type === 'task_completed').map((event) => event.task_id)).toEqual([
          task_id,
        ]);
      }
      expect(ofTypes('run_step_completed')).toHaveLength(3);
      expect(new Set(ofTypes('task_completed', 'run_step_completed').map(({ actor_id }) => actor_id))).toEqual(
        new Set([agent.id]),
      );
    }
    expect((await server.get(`/api/v1/agents/${agent.id}`)).body.performance_metrics).toMatchObject({
      tasks_completed: 48,
    });
  });

  it('one that is refused costs the others nothing', async () => {
    const { workflows } = await makeWorkflows(3);
    const unknown = '01890000-0000-7000-8000-000000000000';
    await server.patch(`/api/v1/workflows/${workflows[1].id}/status`, { status: 'inactive' });

    const answers = await Promise.all([...workflows.map(({ id }) => id), unknown].map((id) => execute(server, id)));

    expect(statusesOf(answers)).toEqual([202, 409, 202, 404]);
    expect(answers[1]!.body.code).toBe('workflow_inactive');
  });

  it('a workflow executed ten times at once runs once', async () => {
    const { workflows } = await makeWorkflows(1);

    const answers = await times(10, () => execute(server, workflows[0].id));

    expect(statusesOf(answers).toSorted((a, b) => a - b)).toEqual([202, ...Array.from({ length: 9 }, () => 409)]);
  });

  it('a workflow whose runs may overlap numbers them one after the other', async () => {
    const { workflows } = await makeWorkflows(1, { schedule: { cron: '0 0 1 1 *', overlap: 'allow' } });

    const answers = await times(10, () => execute(server, workflows[0].id));

    const numbers = answers.map(({ body }) => body.run.run_number as number);
    expect(numbers.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('one that fails by a fault of ours costs the others nothing', async () => {
    const { agent, workflows } = await makeWorkflows(4);
    const runs = await beginAll(workflows);
    const held = await lease(server, agent, { max_tasks: 50 });
    Saboteur.workflow_id = workflows[2].id;

    const answers = await completeAll(held, () => ({}));
    const begun = await execute(server, workflows[2].id);
    Saboteur.workflow_id = null;

    const failed = held.findIndex(({ task }) => task.workflow_id === workflows[2].id);
    expect(statusesOf(answers)).toEqual(held.map((_, index) => (index === failed ? 500 : 200)));
    expect(begun.status).toBe(409);
    for (const [index, id] of runs.entries()) {
      const { one, two } = statuses(await getRun(server, id));
      expect([one, two]).toEqual(index === 2 ? ['running', 'pending'] : ['completed', 'running']);
    }
    expect((await complete(server, held[failed]!)).status).toBe(200);
  });

  it('a result that is given twice in one call counts once', async () => {
    const { agent, workflows } = await makeWorkflows(1);
    const [run_id] = await beginAll(workflows);
    for (const output of [null, { items: [1, 2] }]) {
      await completeAll(await lease(server, agent), () => output);
    }
    const [held] = await lease(server, agent);
    // As on a node that did not give the lease itself.
    Reflect.get(server.app.get(TaskCompletions), 'inCompany').clear();
    const result = { task_id: held!.task.id, lease_token: held!.lease.token };

    const { body } = await server.post('/api/v1/tasks/lease/complete', { results: [result, result, result] });

    expect(body.map(({ is_completed }: { is_completed: boolean }) => is_completed)).toEqual([true, true, true]);
    expect(await getRun(server, run_id!)).toMatchObject({
      status: 'running',
      steps: [{}, {}, { tasks_total: 2, tasks_completed: 1 }],
    });
    const events = await server.events({ task_id: held!.task.id });
    expect(events.filter(({ type }) => type === 'task_completed')).toHaveLength(1);
    expect((await server.get(`/api/v1/agents/${agent.id}`)).body.performance_metrics.tasks_completed).toBe(3);
  });

  it('one that makes very many tasks goes by itself', async () => {
    const { agent, workflows } = await makeWorkflows(3);
    const runs = await beginAll(workflows);
    await completeAll(await lease(server, agent, { max_tasks: 50 }), () => null);
    const held = await lease(server, agent, { max_tasks: 50 });

    const answers = await completeAll(held, () => ({ items: Array.from({ length: 600 }, (_, n) => n) }));

    expect(statusesOf(answers)).toEqual([200, 200, 200]);
    for (const id of runs) {
      const tasks = await tasksOf(server, id);
      expect(tasks.filter(({ step_key }) => step_key === 'three')).toHaveLength(600);
    }
  });

  it.skipIf(!inject('template'))('one whose run somebody has locked keeps no other waiting', async () => {
    const { agent, workflows } = await makeWorkflows(3);
    const runs = await beginAll(workflows);
    const held = await lease(server, agent, { max_tasks: 50 });
    const locked = held.findIndex(({ task }) => task.run_id === runs[1]);
    const letGo = await openTransaction(server, 'SELECT FROM workflow_runs WHERE id = $1 FOR UPDATE', [runs[1]]);
    let isOver = false;

    const answers = held.map((each) => complete(server, each));
    void answers[locked]!.then(() => (isOver = true));
    const others = await Promise.all(answers.filter((_, index) => index !== locked));
    const wasOver = isOver;
    await letGo();

    expect(statusesOf(others)).toEqual([200, 200]);
    expect(wasOver).toBe(false);
    expect((await answers[locked])!.status).toBe(200);
    for (const id of runs) expect(statuses(await getRun(server, id)).two).toBe('running');
  });
});
