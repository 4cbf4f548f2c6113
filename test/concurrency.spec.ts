import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, fail, lease, type Leased, makeAgent, makeProject, makeWorkflow } from './support/makers.js';
import { act, execute, getRun, sorted, startRun, tasksOf } from './support/runs.js';
import { startTestApp, type TestApp } from './support/test-app.js';
import { WAIT_SECONDS, waitForWork } from './support/waiting-agent.js';

let server: TestApp;

beforeAll(async () => {
  server = await startTestApp();
});
afterAll(() => server.close());

const items = (count: number) => JSON.stringify(Array.from({ length: count }, (_, n) => n));
/** A step with so many tasks, of which `limit` may be in progress at once. */
const limited = (count: number, limit: number, key = '"only"', fields: object = {}) => ({
  key: 'a',
  for_each: items(count),
  concurrency: { key, limit },
  ...fields,
});
const inProgress = async (run_id: string) =>
  (await tasksOf(server, run_id)).filter(({ status }) => status === 'in_progress').length;
const release = ({ task, lease: { token } }: Leased) =>
  server.post(`/api/v1/tasks/${task.id}/lease/release`, { lease_token: token });

describe('tasks with a concurrency key', () => {
  it('are leased only as far as the limit goes, one by one or several at once', async () => {
    const { agent, run_id } = await startRun(
      server,
      [limited(6, 2)],
      {},
      { project_id: (await makeProject(server)).id },
    );

    const first = await lease(server, agent, { max_tasks: 5 });
    const none = await lease(server, agent);
    await complete(server, first[0]!);
    const next = await lease(server, agent);
    const noneAgain = await lease(server, agent, { max_tasks: 5 });

    expect([first.length, none.length, next.length, noneAgain.length]).toEqual([2, 0, 1, 0]);
    expect(await inProgress(run_id)).toBe(2);
  });

  it('share the limit between the workflows of a project, and not with another project', async () => {
    const [here, there] = [await makeProject(server), await makeProject(server)];
    const start = (project_id: string) =>
      startRun(server, [limited(1, 1, 'input.repository')], { input: { repository: 'api' } }, { project_id });
    const [one, two, other] = [await start(here.id), await start(here.id), await start(there.id)];

    const leased = [await lease(server, one.agent), await lease(server, two.agent), await lease(server, other.agent)];

    expect(leased.map(({ length }) => length)).toEqual([1, 0, 1]);
    await complete(server, leased[0]![0]!);
    expect(await lease(server, two.agent)).toHaveLength(1);
  });

  it('may have a key for each item', async () => {
    const { agent } = await startRun(server, [
      { key: 'a', for_each: '["x", "x", "y", "y"]', concurrency: { key: '"item " + item', limit: 1 } },
    ]);

    const held = await lease(server, agent, { max_tasks: 10 });

    expect(held.map(({ task }) => task.item_index)).toEqual([0, 2]);
  });

  it('have that of the workflow unless their step has its own', async () => {
    const agent = await makeAgent(server, { max_concurrent_tasks: 10 });
    const step = { agent_type: agent.type, for_each: items(3) };
    const workflow = await makeWorkflow(server, {
      project_id: (await makeProject(server)).id,
      definition: {
        steps: [
          { ...step, key: 'common' },
          { ...step, key: 'own', concurrency: { key: '"own"', limit: 2 } },
        ],
        concurrency: { key: 'workflow.id', limit: 1 },
      },
    });
    await execute(server, workflow.id);

    const held = await lease(server, agent, { max_tasks: 10 });

    expect(sorted(held.map(({ task }) => task.step_key))).toEqual(['common', 'own', 'own']);
  });

  it('do not keep others from being leased', async () => {
    const { agent } = await startRun(server, [limited(50, 1, '"busy"'), { key: 'free' }]);

    const held = [...(await lease(server, agent)), ...(await lease(server, agent))];

    expect(held.map(({ task }) => task.step_key)).toEqual(['a', 'free']);
  });
});

describe('a slot', () => {
  const cases: [string, (held: Leased, run_id: string) => Promise<unknown>][] = [
    ['completed', (held) => complete(server, held)],
    ['failed', (held) => fail(server, held, { retryable: false })],
    ['to be tried again', (held) => fail(server, held)],
    ['given back', release],
    [
      'cancelled',
      async (held) => {
        await server.post(`/api/v1/tasks/${held.task.id}/cancel`);
        await release(held);
      },
    ],
  ];

  it.each(cases)('is free again when its task is %s', async (_how, end) => {
    const { agent, run_id } = await startRun(server, [limited(2, 1, 'run.id', { on_failure: 'ignore' })]);
    const [held] = await lease(server, agent);
    expect(await lease(server, agent)).toEqual([]);

    await end(held!, run_id);

    expect(await lease(server, agent)).toHaveLength(1);
  });

  it('is free again when its agent is gone and the lease is over', async () => {
    const { agent } = await startRun(server, [limited(2, 1, 'run.id')]);
    const [held] = await lease(server, agent, { lease_seconds: 5 });

    const next = await lease(server, agent, { wait_seconds: WAIT_SECONDS });

    expect(next).toHaveLength(1);
    expect((await server.get(`/api/v1/tasks/${held!.task.id}`)).body.lease_expires_at).not.toBe(held!.lease.expires_at);
  });

  it('is free again when its workflow is deleted', async () => {
    const project_id = (await makeProject(server)).id;
    const start = () => startRun(server, [limited(1, 1)], {}, { project_id });
    const [one, two] = [await start(), await start()];
    await lease(server, one.agent);
    await act(server, one.run_id, 'cancel');

    await server.delete(`/api/v1/workflows/${one.workflow_id}`);

    expect(await lease(server, two.agent)).toHaveLength(1);
  });

  it('wakes an agent that waits for it', async () => {
    const { agent, run_id } = await startRun(server, [limited(2, 1, 'run.id')]);
    const other = await makeAgent(server, { type: agent.type, status: 'offline' });
    const [held] = await lease(server, agent);
    const { answer } = await waitForWork(server, other);

    await complete(server, held!);

    expect(await answer).toHaveLength(1);
    expect(await inProgress(run_id)).toBe(1);
  });
});

describe('a slot that many wait for', () => {
  it('wakes the agent that can use it, however many others come before it', async () => {
    const concurrency = { key: '"one"', limit: 1 };
    const others = { key: 'others', for_each: items(12), agent_type: 'nobody', priority: 'high', concurrency };
    const first = { key: 'first', priority: 'critical', concurrency };
    const { agent } = await startRun(server, [first, others, { key: 'last', concurrency }]);
    const other = await makeAgent(server, { type: agent.type, status: 'offline' });
    const [held] = await lease(server, agent);
    const { answer } = await waitForWork(server, other);

    await complete(server, held!);

    expect((await answer).map(({ task }) => task.step_key)).toEqual(['last']);
  });
});

describe('under contention', () => {
  it('the limit holds, and all tasks are done once', async () => {
    const count = 60;
    const limit = 3;
    const { agent, run_id } = await startRun(server, [limited(count, limit, 'run.id')]);
    const agents = await Promise.all(Array.from({ length: 10 }, () => makeAgent(server, { type: agent.type })));
    const done: string[] = [];
    let [now, most] = [0, 0];

    const work = async (each: { id: string }) => {
      while (done.length < count) {
        const [held] = await lease(server, each, { wait_seconds: 1 });
        if (!held) continue;
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve, 5));
        now--;
        await complete(server, held);
        done.push(held.task.id);
      }
    };
    await Promise.all(agents.map(work));

    expect(new Set(done).size).toBe(count);
    expect(most).toBeLessThanOrEqual(limit);
    expect(most).toBeGreaterThan(1);
    expect(await getRun(server, run_id)).toMatchObject({ status: 'completed', completed_tasks: count });
    expect(await server.database.query('SELECT 1 FROM concurrency_slots WHERE key LIKE $1', [`%${run_id}`])).toEqual(
      [],
    );
  });
});

describe('a limit', () => {
  const step = { key: 'a' };

  it.each([
    [{ steps: [{ ...step, concurrency: { key: '"x"', limit: 0 } }] }, '/steps/0/concurrency/limit'],
    [{ steps: [{ ...step, concurrency: { key: '"x"', limit: 1001 } }] }, '/steps/0/concurrency/limit'],
    [{ steps: [{ ...step, concurrency: { limit: 1 } }] }, '/steps/0/concurrency/key'],
    [{ steps: [{ ...step, concurrency: { key: '1 +', limit: 1 } }] }, '/steps/0/concurrency/key'],
    [{ steps: [{ ...step, concurrency: { key: 'steps.b.output', limit: 1 } }] }, '/steps/0/concurrency/key'],
    [{ steps: [{ ...step, concurrency: { key: 'item', limit: 1 } }] }, '/steps/0/concurrency/key'],
    [{ steps: [{ ...step, concurrency: 3 }] }, '/steps/0/concurrency'],
    [
      { definition: { steps: [step], concurrency: { key: 'steps.a.output', limit: 1 } } },
      '/definition/concurrency/key',
    ],
    [{ definition: { steps: [step], concurrency: { key: '(', limit: 1 } } }, '/definition/concurrency/key'],
  ])('is refused in %j', async (body, pointer) => {
    const answer = await server.post('/api/v1/workflows', { name: 'Refused', ...body });

    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
  });

  it.each(['[1]', 'input.missing', `"${'x'.repeat(256)}"`])('fails its step when its key is %s', async (key) => {
    const { run_id } = await startRun(server, [{ key: 'a', concurrency: { key, limit: 1 } }]);

    expect(await getRun(server, run_id)).toMatchObject({ status: 'failed', error: { code: 'expression_failed' } });
  });

  it('is kept in the definition', async () => {
    const concurrency = { key: 'input.repository', limit: 3 };
    const definition = { steps: [{ key: 'a', concurrency }], concurrency };

    const { body } = await server.post('/api/v1/workflows', { name: 'Kept', definition });

    expect(body.definition).toEqual(definition);
  });
});
