import { Injectable, Module } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Within } from '../src/platform/events/handlers.js';
import { RunStepCompleted } from '../src/workflows/workflows.events.js';
import { complete, fail, lease, type Leased, makeAgent, makeTask, makeWorkflow } from './support/makers.js';
import {
  act,
  eventsOfRun,
  execute,
  getRun,
  getWorkflow,
  startRun,
  statuses,
  tasksOf,
  workOff,
} from './support/runs.js';
import { startTestApp, type TestApp } from './support/test-app.js';

/** Breaks the transaction in which the step named so completes. */
@Injectable()
class Saboteur {
  static stepToBreak: string | null = null;

  @Within([RunStepCompleted])
  breakIt({ key }: RunStepCompleted): void {
    if (key === Saboteur.stepToBreak) throw new Error('sabotage');
  }
}

@Module({ providers: [Saboteur] })
class SabotageModule {}

let server: TestApp;

beforeAll(async () => {
  server = await startTestApp({ extra: [SabotageModule] });
});
afterAll(() => server.close());

const ENDED = ['completed', 'failed', 'cancelled', 'skipped'];
const items = (count: number) => ({ input: { items: Array.from({ length: count }, (_, n) => n) } });
const count = (types: readonly string[], type: string) => types.filter((each) => each === type).length;

/** More agents of the type of the first. */
const team = async (first: { id: string; type: string }, size: number) => [
  first,
  ...(await Promise.all(
    Array.from({ length: size - 1 }, () => makeAgent(server, { type: first.type, max_concurrent_tasks: 10 })),
  )),
];

/** Each agent leases and completes until the run is over. */
const workTogether = (agents: readonly { id: string }[], run_id: string) =>
  Promise.all(
    agents.map(async (agent) => {
      while (!ENDED.includes((await getRun(server, run_id)).status)) {
        const held = await lease(server, agent, { max_tasks: 3 });
        const answers = await Promise.all(
          held.map((each) => complete(server, each, { output: each.task.input.value })),
        );
        for (const { status, body } of answers) if (status !== 200) throw new Error(JSON.stringify(body));
      }
    }),
  );

describe('many agents at once', () => {
  it('complete a step with many tasks once, and start the next once', async () => {
    const { agent, workflow_id, run_id } = await startRun(
      server,
      [
        { key: 'each', for_each: 'input.items', input: '${{ item }}' },
        { key: 'sum', depends_on: ['each'], input: '${{ steps.each.output }}' },
      ],
      items(40),
    );

    await workTogether(await team(agent, 10), run_id);

    const run = await getRun(server, run_id);
    expect(run).toMatchObject({
      status: 'completed',
      total_tasks: 41,
      completed_tasks: 41,
      failed_tasks: 0,
      progress_percentage: 100,
    });
    expect(run.steps).toMatchObject([
      { tasks_total: 40, tasks_completed: 40, tasks_failed: 0, output: items(40).input.items },
      { tasks_total: 1, tasks_completed: 1, output: items(40).input.items },
    ]);
    expect(await getWorkflow(server, workflow_id)).toMatchObject({
      status: 'completed',
      total_tasks: 41,
      completed_tasks: 41,
      progress: 100,
    });
    const types = await eventsOfRun(server, workflow_id);
    expect(count(types, 'task_completed')).toBe(41);
    expect(count(types, 'run_step_started')).toBe(2);
    expect(count(types, 'run_step_completed')).toBe(2);
    expect(count(types, 'run_completed')).toBe(1);
  });

  it('never have more than max_parallel, and get all done', async () => {
    const { agent, run_id } = await startRun(
      server,
      [{ key: 'each', for_each: 'input.items', input: '${{ item }}', max_parallel: 4 }],
      items(24),
    );
    let most = 0;
    const watch = async () => {
      while (!ENDED.includes((await getRun(server, run_id)).status)) {
        const [row] = await server.database.query<{ active: number }>(
          `SELECT count(*)::int AS active FROM tasks
           WHERE run_id = $1 AND (status = 'in_progress' OR (status = 'pending' AND ready_at IS NOT NULL))`,
          [run_id],
        );
        most = Math.max(most, row!.active);
      }
    };

    await Promise.all([watch(), workTogether(await team(agent, 6), run_id)]);

    expect(most).toBe(4);
    expect(await getRun(server, run_id)).toMatchObject({ status: 'completed', completed_tasks: 24 });
  });

  it('end two branches at the same moment, and start the step behind them once', async () => {
    for (let round = 0; round < 8; round++) {
      const { agent, workflow_id, run_id } = await startRun(server, [
        { key: 'left' },
        { key: 'right' },
        { key: 'join', depends_on: ['left', 'right'], input: '${{ [steps.left.output, steps.right.output] }}' },
      ]);
      const held = await lease(server, agent, { max_tasks: 2 });

      await Promise.all(held.map((each) => complete(server, each, { output: each.task.step_key })));

      const joins = await lease(server, agent, { max_tasks: 10 });
      expect(joins).toMatchObject([{ task: { input: { value: ['left', 'right'] } } }]);
      await complete(server, joins[0]!);
      expect(await getRun(server, run_id)).toMatchObject({ status: 'completed', total_tasks: 3, completed_tasks: 3 });
      expect(count(await eventsOfRun(server, workflow_id), 'run_step_started')).toBe(3);
    }
  });

  it('end the last two dependencies of a task at the same moment', async () => {
    const agent = await makeAgent(server, { max_concurrent_tasks: 20 });
    const { id: workflow_id } = await makeWorkflow(server);
    const fields = { workflow_id, agent_type: agent.type };
    const dependencies = await Promise.all(Array.from({ length: 8 }, async () => (await makeTask(server, fields)).id));
    await makeTask(server, { ...fields, title: 'last', dependencies });
    const { run } = (await execute(server, workflow_id)).body;
    const held = await lease(server, agent, { max_tasks: 20 });

    await Promise.all(held.map((each) => complete(server, each)));

    expect(held).toHaveLength(8);
    expect(await workOff(server, agent)).toMatchObject([{ task: { title: 'last' } }]);
    expect(await getRun(server, run.id)).toMatchObject({ status: 'completed', completed_tasks: 9 });
  });
});

describe('a run that ends while agents complete its tasks', () => {
  /** No task of an ended run is left to anyone, except for what an agent was told to stop. */
  const expectNothingLeft = async (run_id: string, agent: { id: string }, held: readonly Leased[]) => {
    expect(await lease(server, agent, { max_tasks: 10 })).toEqual([]);
    for (const each of held) await fail(server, each);
    const tasks = await tasksOf(server, run_id);
    expect(tasks.filter(({ status }) => !ENDED.includes(status))).toEqual([]);
  };

  it('by being cancelled leaves no live task', async () => {
    for (let round = 0; round < 5; round++) {
      const { agent, workflow_id, run_id } = await startRun(
        server,
        [
          { key: 'each', for_each: 'input.items' },
          { key: 'next', depends_on: ['each'] },
        ],
        items(6),
      );
      const held = await lease(server, agent, { max_tasks: 6 });

      const answers = await Promise.all([
        ...held.slice(0, 3).map((each) => complete(server, each)),
        act(server, run_id, 'cancel'),
        ...held.slice(3).map((each) => complete(server, each)),
      ]);

      // All completed first: then the run was not over before the cancellation, for `next` was there.
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200, 200]);
      await expectNothingLeft(run_id, agent, held);
      const run = await getRun(server, run_id);
      expect(run).toMatchObject({ status: 'cancelled' });
      expect(Object.values(statuses(run)).filter((status) => !ENDED.includes(status))).toEqual([]);
      expect(await getWorkflow(server, workflow_id)).toMatchObject({ status: 'cancelled' });
      expect(count(await eventsOfRun(server, workflow_id), 'run_cancelled')).toBe(1);
    }
  });

  it('by a failure leaves no live task', async () => {
    for (let round = 0; round < 5; round++) {
      const { agent, workflow_id, run_id } = await startRun(
        server,
        [{ key: 'each', for_each: 'input.items' }],
        items(9),
      );
      const held = await lease(server, agent, { max_tasks: 6 });

      await Promise.all(
        held.map((each, index) =>
          index % 3 === 1 ? fail(server, each, { retryable: false }) : complete(server, each),
        ),
      );

      await expectNothingLeft(run_id, agent, held);
      expect(await getRun(server, run_id)).toMatchObject({ status: 'failed', failed_tasks: 1 });
      expect(count(await eventsOfRun(server, workflow_id), 'run_failed')).toBe(1);
    }
  });
});

describe('people who act at the same moment', () => {
  it('start a workflow once', async () => {
    const { id } = await makeWorkflow(server, { steps: [{ key: 'a', agent_type: 'nobody' }] });

    const answers = await Promise.all(Array.from({ length: 5 }, () => execute(server, id)));

    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([202, 409, 409, 409, 409]);
    expect((await server.get(`/api/v1/workflows/${id}/runs`)).body).toMatchObject([
      { run_number: 1, status: 'running' },
    ]);
  });

  it('do not undo with an edit what the run has written', async () => {
    const { agent, workflow_id, run_id } = await startRun(
      server,
      [{ key: 'each', for_each: 'input.items' }],
      items(12),
    );
    const held = await lease(server, agent, { max_tasks: 12 });

    const answers = await Promise.all(
      held.flatMap((each, index) => [
        complete(server, each),
        server.put(`/api/v1/workflows/${workflow_id}`, { name: `Name ${index}` }),
      ]),
    );

    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);

    expect(await getRun(server, run_id)).toMatchObject({ status: 'completed' });
    expect(await getWorkflow(server, workflow_id)).toMatchObject({
      status: 'completed',
      progress: 100,
      total_tasks: 12,
      completed_tasks: 12,
      name: expect.stringMatching(/^Name \d+$/),
    });
  });

  it('pause, resume and change the agents while the work goes on, and lose nothing', async () => {
    const { agent, workflow_id, run_id } = await startRun(
      server,
      [
        { key: 'each', for_each: 'input.items', max_parallel: 6 },
        { key: 'next', depends_on: ['each'] },
      ],
      items(20),
    );
    const agents = await team(agent, 4);
    const meddle = async () => {
      for (let round = 0; round < 6; round++) {
        await act(server, run_id, 'pause');
        await server.post(`/api/v1/workflows/${workflow_id}/agents`, { agent_id: agents[round % 4]!.id });
        await act(server, run_id, 'resume');
        await server.delete(`/api/v1/workflows/${workflow_id}/agents/${agents[round % 4]!.id}`);
      }
    };

    await Promise.all([meddle(), workTogether(agents, run_id)]);

    expect(await getRun(server, run_id)).toMatchObject({ status: 'completed', total_tasks: 21, completed_tasks: 21 });
  });

  it('add tasks to a workflow while it is started, and every task is done', async () => {
    const agent = await makeAgent(server, { max_concurrent_tasks: 50 });
    const { id: workflow_id } = await makeWorkflow(server);
    const add = () => makeTask(server, { workflow_id, agent_type: agent.type });
    await add();

    const [{ body }] = await Promise.all([execute(server, workflow_id), ...Array.from({ length: 8 }, add)]);
    await workOff(server, agent);

    expect(await getRun(server, body.run.id)).toMatchObject({
      status: 'completed',
      total_tasks: 9,
      completed_tasks: 9,
    });
  });

  it('add tasks that wait for others just as those are completed, and every task is done', async () => {
    const agent = await makeAgent(server, { max_concurrent_tasks: 50 });
    const { id: workflow_id } = await makeWorkflow(server);
    const fields = { workflow_id, agent_type: agent.type };
    for (let n = 0; n < 8; n++) await makeTask(server, fields);
    const { run } = (await execute(server, workflow_id)).body;
    const held = await lease(server, agent, { max_tasks: 8 });
    const last = await makeTask(server, { ...fields, dependencies: held.map(({ task }) => task.id) });

    await Promise.all(
      held.flatMap((each) => [
        makeTask(server, { ...fields, dependencies: [each.task.id, last.id] }),
        complete(server, each),
      ]),
    );
    await workOff(server, agent);

    expect(await getRun(server, run.id)).toMatchObject({ status: 'completed', total_tasks: 17, completed_tasks: 17 });
  });

  it('delete a workflow while agents still complete what they held', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, [{ key: 'each', for_each: 'input.items' }], items(8));
    const held = await lease(server, agent, { max_tasks: 8 });
    await act(server, run_id, 'cancel');

    const [deleted, ...completed] = await Promise.all([
      server.delete(`/api/v1/workflows/${workflow_id}`),
      ...held.map((each) => complete(server, each)),
    ]);

    expect(deleted.status).toBe(204);
    expect(completed.filter(({ status }) => status !== 200 && status !== 404)).toEqual([]);
    expect((await server.get(`/api/v1/workflows/${workflow_id}`)).status).toBe(404);
    const [row] = await server.database.query('SELECT held_tasks FROM agents WHERE id = $1', [agent.id]);
    expect(row).toEqual({ held_tasks: 0 });
  });

  it('delete a workflow while another starts it: one of them is told no', async () => {
    for (let round = 0; round < 5; round++) {
      const { id } = await makeWorkflow(server, { steps: [{ key: 'a', agent_type: 'nobody' }] });

      const [deleted, executed] = await Promise.all([server.delete(`/api/v1/workflows/${id}`), execute(server, id)]);

      expect([
        [204, 404],
        [409, 202],
      ]).toContainEqual([deleted.status, executed.status]);
    }
  });
});

describe('a change of a run', () => {
  it('happens with its events or not at all', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, [
      { key: 'sabotaged' },
      { key: 'next', depends_on: ['sabotaged'] },
    ]);
    const [held] = await lease(server, agent);
    const before = { run: await getRun(server, run_id), events: await eventsOfRun(server, workflow_id) };

    Saboteur.stepToBreak = 'sabotaged';
    const broken = await complete(server, held!);
    const after = { run: await getRun(server, run_id), events: await eventsOfRun(server, workflow_id) };
    Saboteur.stepToBreak = null;
    const repaired = await complete(server, held!);

    expect(broken.status).toBe(500);
    expect(after).toEqual(before);
    expect((await tasksOf(server, run_id)).map(({ step_key }) => step_key)).toEqual(['sabotaged', 'next']);
    expect(repaired.status).toBe(200);
    expect(statuses(await getRun(server, run_id))).toEqual({ sabotaged: 'completed', next: 'running' });
  });
});
