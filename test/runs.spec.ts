import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, fail, lease, makeAgent, makeWorkflow } from './support/makers.js';
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

const UNKNOWN = '01890000-0000-7000-8000-000000000000';

let server: TestApp;

beforeAll(async () => {
  server = await startTestApp();
});
afterAll(() => server.close());

const failForGood = async (agent: { id: string }, message = 'It broke') => {
  const [held] = await lease(server, agent);
  return fail(server, held!, { error: { message }, retryable: false });
};

describe('a run', () => {
  it('does its steps one after the other, each with the results of those before', async () => {
    const { agent, workflow_id, run_id } = await startRun(
      server,
      [
        { key: 'fetch', input: { url: '${{ input.url }}' }, name: 'Fetch ${{ input.url }}', instructions: 'Get it' },
        {
          key: 'count',
          depends_on: ['fetch'],
          input: { words: '${{ steps.fetch.output.words }}', half: '${{ size(steps.fetch.output.words) * 0.5 }}' },
        },
        { key: 'tell', depends_on: ['count'], input: '${{ steps.count.output + 1 }}' },
      ],
      { input: { url: 'x://y' } },
    );

    const done = await workOff(
      server,
      agent,
      ({ step_key }) => ({ fetch: { words: ['a', 'b', 'c'] }, count: 3, tell: 'told' })[step_key as string],
    );

    expect(done.map(({ task }) => [task.step_key, task.title, task.instructions, task.input])).toEqual([
      ['fetch', 'Fetch x://y', 'Get it', { url: 'x://y' }],
      ['count', 'count', null, { words: ['a', 'b', 'c'], half: 1.5 }],
      ['tell', 'tell', null, { value: 4 }],
    ]);
    expect(await getRun(server, run_id)).toMatchObject({
      workflow_id,
      run_number: 1,
      status: 'completed',
      trigger: 'manual',
      rerun_of: null,
      input: { url: 'x://y' },
      output: { tell: 'told' },
      error: null,
      progress_percentage: 100,
      total_tasks: 3,
      completed_tasks: 3,
      failed_tasks: 0,
      started_at: expect.stringMatching(/Z$/),
      completed_at: expect.stringMatching(/Z$/),
      steps: [
        {
          key: 'fetch',
          status: 'completed',
          tasks_total: 1,
          tasks_completed: 1,
          output: { words: ['a', 'b', 'c'] },
          error: null,
        },
        { key: 'count', status: 'completed', tasks_total: 1, tasks_completed: 1, output: 3 },
        { key: 'tell', status: 'completed', tasks_total: 1, tasks_completed: 1, output: 'told' },
      ],
    });
  });

  it('leaves all its events in the log, in order', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, [{ key: 'a' }, { key: 'b', depends_on: ['a'] }]);

    await workOff(server, agent);

    expect(await eventsOfRun(server, workflow_id)).toEqual([
      'workflow_created',
      'workflow_executed',
      'run_started',
      'run_step_started',
      'task_created',
      'workflow_updated',
      'task_started',
      'task_completed',
      'run_step_completed',
      'run_step_started',
      'task_created',
      'task_started',
      'task_completed',
      'run_step_completed',
      'workflow_updated',
      'run_completed',
    ]);
    const events = await server.events({ run_id });
    expect(events.filter(({ type }) => type.startsWith('run_step')).map(({ data }) => data.key)).toEqual([
      'a',
      'a',
      'b',
      'b',
    ]);
    expect(events.every((event) => event.workflow_id === workflow_id)).toBe(true);
    expect(
      (await server.events({ workflow_id })).filter(({ type }) => type === 'workflow_updated').map(({ data }) => data),
    ).toMatchObject([
      { old_status: 'pending', new_status: 'running' },
      { old_status: 'running', new_status: 'completed', progress: 100 },
    ]);
    expect(events.filter(({ type }) => type === 'workflow_progress_updated').map(({ data }) => data)).toMatchObject([
      { progress: 50, total_tasks: 2, completed_tasks: 1 },
      { progress: 100, total_tasks: 2, completed_tasks: 2 },
    ]);
  });

  it('begins with all steps that wait for nothing, and joins where ways meet', async () => {
    const { agent, run_id } = await startRun(server, [
      { key: 'top' },
      { key: 'left', depends_on: ['top'] },
      { key: 'right', depends_on: ['top'] },
      {
        key: 'bottom',
        depends_on: ['left', 'right'],
        input: { all: ['${{ steps.left.output }}', '${{ steps.right.output }}'] },
      },
      { key: 'alone' },
    ]);

    const beginning = await lease(server, agent, { max_tasks: 100 });
    for (const held of beginning) await complete(server, held, { output: held.task.step_key });
    const middle = await lease(server, agent, { max_tasks: 100 });
    await complete(server, middle[0]!, { output: middle[0]!.task.step_key });
    const between = await lease(server, agent, { max_tasks: 100 });
    await complete(server, middle[1]!, { output: middle[1]!.task.step_key });
    const end = await lease(server, agent, { max_tasks: 100 });
    await complete(server, end[0]!, { output: 'the end' });

    expect(sorted(beginning.map(({ task }) => task.step_key))).toEqual(['alone', 'top']);
    expect(sorted(middle.map(({ task }) => task.step_key))).toEqual(['left', 'right']);
    expect(between).toEqual([]);
    expect(end).toMatchObject([{ task: { step_key: 'bottom', input: { all: ['left', 'right'] } } }]);
    expect(await getRun(server, run_id)).toMatchObject({
      status: 'completed',
      output: { bottom: 'the end', alone: 'alone' },
    });
  });

  it('passes on what its steps say of a task', async () => {
    const project = (await server.post('/api/v1/projects', { name: 'P' })).body;
    const fixed = await makeAgent(server);
    const fields = {
      task_type: 'review',
      agent_id: fixed.id,
      required_capabilities: ['python'],
      priority: 'urgent',
      timeout_seconds: 60,
      retry: { backoff_seconds: 5 },
      max_attempts: 7,
    };

    const { run_id, workflow_id, agent } = await startRun(
      server,
      [{ key: 'a', ...fields }],
      {},
      { project_id: project.id },
    );

    expect(await tasksOf(server, run_id)).toMatchObject(
      [
        {
          ...fields,
          agent_id: undefined,
          assigned_agent_id: fixed.id,
          priority: 'critical',
          agent_type: agent.type,
          retry: { backoff_seconds: 5, factor: 2, max_seconds: 300, jitter: true },
          project_id: project.id,
          workflow_id,
          run_id,
          step_key: 'a',
        },
      ].map(({ agent_id: _agent_id, ...task }) => task),
    );
  });

  it('has the input over the parameters of its workflow', async () => {
    const steps = [{ key: 'a', input: '${{ input }}' }];
    const parameters = { depth: 1, deep: { kept: false }, word: 'default' };
    const { agent, workflow_id, run_id } = await startRun(
      server,
      steps,
      { input: { word: 'given', deep: { x: 1 } } },
      { parameters },
    );
    await workOff(server, agent);

    const again = await execute(server, workflow_id, { parameters: { depth: 2 } });

    expect((await getRun(server, run_id)).input).toEqual({ depth: 1, deep: { x: 1 }, word: 'given' });
    expect(again.body.run).toMatchObject({
      run_number: 2,
      input: { depth: 2, deep: { kept: false }, word: 'default' },
    });
  });

  it('keeps its definition when the workflow gets another', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, [{ key: 'a' }, { key: 'b', depends_on: ['a'] }]);

    await server.put(`/api/v1/workflows/${workflow_id}`, { steps: [{ key: 'other' }] });
    await workOff(server, agent);

    expect(statuses(await getRun(server, run_id))).toEqual({ a: 'completed', b: 'completed' });
    expect((await getWorkflow(server, workflow_id)).definition).toEqual({ steps: [{ key: 'other' }] });
  });

  it('without steps is over at once', async () => {
    const { run_id, workflow_id } = await startRun(server, []);

    expect(await getRun(server, run_id)).toMatchObject({ status: 'completed', output: {}, progress_percentage: 100 });
    expect(await getWorkflow(server, workflow_id)).toMatchObject({ status: 'completed', progress: 100 });
  });

  it.each([
    ['input of another type', { input: [] }, '/input'],
    ['null for input', { input: null }, '/input'],
    ['a time that is none', { scheduled_at: 'tomorrow' }, '/scheduled_at'],
    ['a day that does not exist', { scheduled_at: '2026-02-30T00:00:00Z' }, '/scheduled_at'],
    ['agents that are no list', { assigned_agents: 'all' }, '/assigned_agents'],
  ])('is refused with %s', async (_what, body, pointer) => {
    const { id } = await makeWorkflow(server, { steps: [] });

    expect((await execute(server, id, body)).body).toMatchObject({ status: 422, errors: [{ pointer }] });
    expect((await server.get(`/api/v1/workflows/${id}/runs`)).body).toEqual([]);
  });

  it('is not begun beside a live one, nor while the workflow is inactive', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, [{ key: 'a' }]);

    const beside = await execute(server, workflow_id);
    await workOff(server, agent);
    await server.patch(`/api/v1/workflows/${workflow_id}/status`, { status: 'inactive' });
    const inactive = await execute(server, workflow_id);
    const rerun = await server.post(`/api/v1/runs/${run_id}/rerun`, {});

    expect(beside).toMatchObject({ status: 409, body: { code: 'workflow_is_running' } });
    expect(inactive).toMatchObject({ status: 409, body: { code: 'workflow_inactive' } });
    expect(rerun).toMatchObject({ status: 409, body: { code: 'workflow_inactive' } });
  });

  it('answers 404 for an unknown id and 422 for a malformed one, whatever the route', async () => {
    for (const [method, path] of [
      ['GET', ''],
      ['POST', '/pause'],
      ['POST', '/resume'],
      ['POST', '/cancel'],
      ['POST', '/rerun'],
    ] as const) {
      const body = method === 'POST' ? {} : undefined;
      expect((await server.request(method, `/api/v1/runs/${UNKNOWN}${path}`, body)).body).toMatchObject({
        code: 'run_not_found',
        status: 404,
      });
      expect((await server.request(method, `/api/v1/runs/nonsense${path}`, body)).status).toBe(422);
    }
  });

  it('is shown with its workflow: lists, graph, progress, quality', async () => {
    const steps = [
      { key: 'a', name: 'First' },
      { key: 'b', depends_on: ['a'], for_each: '[1, 2]' },
    ];
    const { agent, workflow_id, run_id } = await startRun(server, steps, {}, { estimated_duration_hours: 1 });
    const [first] = await lease(server, agent);
    await complete(server, first!, { quality_score: 80 });
    const [second] = await lease(server, agent);
    await complete(server, second!, { quality_score: 40 });

    const whileRunning = await getWorkflow(server, workflow_id);
    const graph = (await server.get(`/api/v1/workflows/${workflow_id}/graph`)).body;
    await workOff(server, agent);
    const after = await getWorkflow(server, workflow_id);
    await execute(server, workflow_id);
    const fresh = await getWorkflow(server, workflow_id);

    expect(whileRunning).toMatchObject({
      status: 'running',
      latest_run_id: run_id,
      progress: 75,
      progress_percentage: 75,
      total_tasks: 3,
      completed_tasks: 2,
      failed_tasks: 0,
      completed_at: null,
    });
    expect(graph).toEqual({
      nodes: [
        { key: 'a', name: 'First', status: 'completed', tasks: { total: 1, completed: 1, failed: 0 } },
        { key: 'b', name: 'b', status: 'running', tasks: { total: 2, completed: 1, failed: 0 } },
      ],
      edges: [['a', 'b']],
    });
    expect(after).toMatchObject({
      status: 'completed',
      progress: 100,
      completed_tasks: 3,
      quality_metrics: { success_rate: 100, quality_score: 60, efficiency_score: 100 },
      actual_duration_hours: expect.any(Number),
      completed_at: expect.any(String),
    });
    expect(fresh).toMatchObject({
      status: 'running',
      progress: 0,
      total_tasks: 1,
      completed_tasks: 0,
      completed_at: null,
    });
    expect((await server.get(`/api/v1/workflows/${workflow_id}/graph`)).body.nodes).toMatchObject([
      { status: 'running' },
      { status: 'pending' },
    ]);
    expect((await server.get(`/api/v1/workflows/${workflow_id}/graph?run_id=${run_id}`)).body.nodes).toMatchObject([
      { status: 'completed' },
      { status: 'completed', tasks: { total: 2, completed: 2 } },
    ]);
    const runs = await server.get(`/api/v1/workflows/${workflow_id}/runs`);
    expect(runs.body).toMatchObject([
      { run_number: 2, status: 'running', steps: [{ key: 'a' }, { key: 'b' }] },
      { run_number: 1, id: run_id },
    ]);
    expect(runs.body[1]).toEqual(await getRun(server, run_id));
    expect((await server.get(`/api/v1/workflows/${workflow_id}/runs?status=completed`)).body).toMatchObject([
      { id: run_id },
    ]);
    expect((await server.get(`/api/v1/workflows/${workflow_id}/runs?status=nonsense`)).status).toBe(422);
    expect((await server.get(`/api/v1/workflows/${workflow_id}/tasks`)).body).toHaveLength(4);
    expect((await server.get(`/api/v1/workflows/${workflow_id}/tasks?run_id=${run_id}`)).body).toHaveLength(3);
  });

  it('is not shown in the graph of another workflow', async () => {
    const { run_id } = await startRun(server, [{ key: 'a' }]);
    const { id } = await makeWorkflow(server, { steps: [{ key: 'x' }, { key: 'y', depends_on: ['x'] }] });
    const graph = (query: string) => server.get(`/api/v1/workflows/${id}/graph${query}`);

    expect(await graph(`?run_id=${run_id}`)).toMatchObject({ status: 404, body: { code: 'run_not_found' } });
    expect(await graph(`?run_id=${UNKNOWN}`)).toMatchObject({ status: 404, body: { code: 'run_not_found' } });
    expect((await graph('?run_id=nonsense')).status).toBe(422);
    expect((await graph('')).body).toMatchObject({
      nodes: [{ key: 'x', status: 'pending' }, { key: 'y' }],
      edges: [['x', 'y']],
    });
  });
});

describe('a step for each item', () => {
  it('does nothing for no items', async () => {
    const { agent, run_id } = await startRun(
      server,
      [
        { key: 'a', for_each: 'input.items' },
        { key: 'b', depends_on: ['a'], input: '${{ steps.a.output }}' },
      ],
      {
        input: { items: [] },
      },
    );

    const done = await workOff(server, agent);

    expect(done).toMatchObject([{ task: { step_key: 'b', input: { value: [] } } }]);
    expect((await getRun(server, run_id)).steps).toMatchObject([
      { status: 'completed', tasks_total: 0, output: [] },
      { status: 'completed' },
    ]);
  });

  it('yields a list also for one item', async () => {
    const { agent, run_id } = await startRun(server, [
      { key: 'a', for_each: '${{ ["only"] }}', input: { it: '${{ item }}', at: '${{ index }}' } },
    ]);

    const done = await workOff(server, agent);

    expect(done).toMatchObject([{ task: { title: 'a #1', input: { it: 'only', at: 0 } } }]);
    expect(await getRun(server, run_id)).toMatchObject({ output: { a: ['did a #1'] } });
  });

  it('keeps the order of its outputs, whatever order the tasks end in', async () => {
    const { agent, run_id } = await startRun(
      server,
      [{ key: 'a', for_each: 'input.items', name: 'Item ${{ item.id }}', input: '${{ item }}' }],
      { input: { items: Array.from({ length: 12 }, (_, id) => ({ id })) } },
    );

    const held = await lease(server, agent, { max_tasks: 100 });
    for (const each of held.toReversed()) await complete(server, each, { output: each.task.input.id });

    expect(held.map(({ task }) => task.title)).toContain('Item 11');
    expect((await getRun(server, run_id)).output).toEqual({ a: Array.from({ length: 12 }, (_, id) => id) });
  });

  it('has never more ready or in progress than max_parallel, and does all in the end', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a', for_each: 'input.items', max_parallel: 3 }], {
      input: { items: 'abcdefgh'.split('') },
    });
    const done: string[] = [];

    for (let round = 0; done.length < 8 && round < 20; round++) {
      const held = await lease(server, agent, { max_tasks: 100 });
      const active = (await tasksOf(server, run_id)).filter(({ status }) => status === 'in_progress');
      expect(active.length).toBeLessThanOrEqual(3);
      // Not all at once, so that single places become free.
      for (const each of held.slice(0, round % 2 === 0 ? 1 : 3)) {
        await complete(server, each);
        done.push(each.task.id);
      }
      for (const each of held.filter(({ task }) => !done.includes(task.id))) {
        await server.post(`/api/v1/tasks/${each.task.id}/lease/release`, { lease_token: each.lease.token });
      }
    }

    expect(new Set(done).size).toBe(8);
    expect(await getRun(server, run_id)).toMatchObject({ status: 'completed', completed_tasks: 8 });
  });

  it('lets no more come when one is cancelled that had not come yet', async () => {
    const { agent, run_id } = await startRun(server, [
      { key: 'a', for_each: '[1, 2, 3, 4, 5]', max_parallel: 2, on_failure: 'continue' },
    ]);
    const last = (await tasksOf(server, run_id)).find(({ title }) => title === 'a #5');

    await server.post(`/api/v1/tasks/${last!.id}/cancel`);

    const held = await lease(server, agent, { max_tasks: 100 });
    expect(held).toHaveLength(2);
    for (const each of held) await complete(server, each);
    await workOff(server, agent);
    expect(await getRun(server, run_id)).toMatchObject({ status: 'failed', completed_tasks: 4, failed_tasks: 1 });
  });

  it.each([
    ['too many items', { for_each: 'input.many' }, 'for_each yields 10001 items; 10000 is the most'],
    ['what is no list', { for_each: 'input.text' }, 'for_each must yield a list, not string: input.text'],
    ['an object', { for_each: 'input' }, 'for_each must yield a list, not object'],
    ['nothing', { for_each: 'null' }, 'for_each must yield a list, not null'],
  ])('fails over %s', async (_what, fields, message) => {
    const { run_id, workflow_id } = await startRun(
      server,
      [
        { key: 'a', ...fields },
        { key: 'b', depends_on: ['a'] },
      ],
      {
        input: { many: Array.from({ length: 10_001 }, () => 1), text: 'abc' },
      },
    );

    const run = await getRun(server, run_id);

    expect(run).toMatchObject({ status: 'failed', error: { code: 'expression_failed' }, total_tasks: 0 });
    expect(run.error.message).toContain(message);
    expect(run.steps).toMatchObject([
      { status: 'failed', error: { message: expect.stringContaining(message), code: 'expression_failed' } },
      { status: 'skipped', error: { code: 'run_failed' } },
    ]);
    expect(await getWorkflow(server, workflow_id)).toMatchObject({ status: 'failed' });
  });

  it('may have ten thousand items', async () => {
    const { run_id } = await startRun(
      server,
      [{ key: 'a', for_each: 'input.many', max_parallel: 2, input: '${{ item + 1 }}' }],
      {
        input: { many: Array.from({ length: 10_000 }, (_, n) => n) },
      },
    );

    expect(await getRun(server, run_id)).toMatchObject({
      status: 'running',
      total_tasks: 10_000,
      steps: [{ tasks_total: 10_000 }],
    });

    const cancelled = await act(server, run_id, 'cancel');
    const { body: left } = await server.get(`/api/v1/tasks?run_id=${run_id}&status=pending&limit=1`);

    expect(cancelled).toMatchObject({ status: 200, body: { status: 'cancelled', steps: [{ status: 'cancelled' }] } });
    expect(left).toEqual([]);
    const [counted] = await server.database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM events WHERE run_id = $1 AND type = 'task_cancelled'`,
      [run_id],
    );
    expect(counted).toEqual({ count: 10_000 });
  });
});

describe('a condition', () => {
  it('that is false skips its step, which counts as done', async () => {
    const { agent, run_id } = await startRun(
      server,
      [
        { key: 'a', when: 'input.wanted' },
        { key: 'b', depends_on: ['a'], when: 'steps.a.status == "skipped"', input: '${{ steps.a.output }}' },
        { key: 'c', depends_on: ['b'], when: '${{ false }}' },
      ],
      { input: { wanted: false } },
    );

    const done = await workOff(server, agent);

    expect(done).toMatchObject([{ task: { step_key: 'b', input: { value: null } } }]);
    const run = await getRun(server, run_id);
    expect(run).toMatchObject({ status: 'completed', progress_percentage: 100, output: { c: null } });
    expect(statuses(run)).toEqual({ a: 'skipped', b: 'completed', c: 'skipped' });
    expect(
      (await server.events({ run_id })).filter(({ type }) => type === 'run_step_skipped').map(({ data }) => data.key),
    ).toEqual(['a', 'c']);
  });

  it.each([
    ['that is no condition', 'input.n', 'when must yield true or false, not number: input.n'],
    ['over something that is not there', 'input.missing', 'No such key: missing in: input.missing'],
    [
      'that takes too long',
      'input.l.all(x, input.l.all(y, input.l.all(z, true)))',
      'The expressions took longer than 250 ms',
    ],
  ])('%s fails its step, with its text', async (_what, when, message) => {
    const { run_id } = await startRun(server, [{ key: 'a', when }], {
      input: { n: 1, l: Array.from({ length: 1000 }, () => 1) },
    });

    expect((await getRun(server, run_id)).steps).toMatchObject([
      { status: 'failed', error: { message: expect.stringContaining(message) } },
    ]);
  });
});

describe('what an expression yields', () => {
  it('may have any size in a title', async () => {
    const { run_id } = await startRun(
      server,
      [
        { key: 'long', name: '${{ input.long }}' },
        { key: 'empty', name: '${{ "" }}' },
        { key: 'object', name: '${{ input.object }}' },
        { key: 'number', name: '${{ 1 + 1 }}', instructions: '${{ input.object }}' },
      ],
      { input: { long: `${'x'.repeat(499)}🎉🎉`, object: { a: 1 } } },
    );

    const tasks = await tasksOf(server, run_id);

    expect(Object.fromEntries(tasks.map(({ step_key, title }) => [step_key, title]))).toEqual({
      long: `${'x'.repeat(499)}�`,
      empty: 'empty',
      object: '{"a":1}',
      number: '2',
    });
    expect(tasks.find(({ step_key }) => step_key === 'number')).toMatchObject({ instructions: '{"a":1}' });
  });

  it.each([
    ['text that no database stores', { name: '${{ "\\u0000" }}' }, 'U+0000'],
    ['such a key', { input: { a: '${{ {"\\u0000": 1} }}' } }, 'U+0000'],
    [
      'more than fits',
      { for_each: 'input.list', input: { text: 'x ${{ input.text }}' } },
      'more than 67108864 characters',
    ],
  ])('fails the step when it is %s', async (_what, fields, message) => {
    const { agent, run_id } = await startRun(server, [{ key: 'a' }, { key: 'b', depends_on: ['a'], ...fields }], {
      input: { list: Array.from({ length: 1000 }, () => 1), text: 'x'.repeat(100_000) },
    });

    await workOff(server, agent);

    expect((await getRun(server, run_id)).steps).toMatchObject([
      { status: 'completed' },
      { status: 'failed', error: { code: 'expression_failed', message: expect.stringContaining(message) } },
    ]);
  });
});

describe('a step that fails', () => {
  const AROUND = [
    { key: 'beside' },
    { key: 'after', depends_on: ['a'] },
    { key: 'later', depends_on: ['after', 'beside'] },
  ];

  it('fails the run at once: what is not started is skipped, what is in progress is asked to stop', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, [{ key: 'a' }, ...AROUND]);
    const held = await lease(server, agent, { max_tasks: 2 });
    const beside = held.find(({ task }) => task.step_key === 'beside')!;

    await fail(
      server,
      held.find(({ task }) => task.step_key === 'a')!,
      { error: { message: 'No luck', code: 'bad_luck' }, retryable: false },
    );

    const run = await getRun(server, run_id);
    expect(run).toMatchObject({
      status: 'failed',
      error: { message: 'Step a failed: No luck', code: 'bad_luck' },
      output: null,
      progress_percentage: 25,
      failed_tasks: 1,
    });
    expect(statuses(run)).toEqual({ a: 'failed', beside: 'cancelled', after: 'skipped', later: 'skipped' });
    expect(await getWorkflow(server, workflow_id)).toMatchObject({
      status: 'failed',
      progress: 25,
      quality_metrics: { success_rate: 0 },
    });
    expect(
      (await server.post(`/api/v1/tasks/${beside.task.id}/lease/heartbeat`, { lease_token: beside.lease.token })).body,
    ).toMatchObject({
      cancel_requested: true,
    });
    await fail(server, beside);
    expect((await server.get(`/api/v1/tasks/${beside.task.id}`)).body).toMatchObject({ status: 'cancelled' });
    expect(await getRun(server, run_id)).toMatchObject({ status: 'failed', steps: run.steps });
    const events = (await eventsOfRun(server, workflow_id)).slice(-8);
    expect(events).toEqual([
      'task_failed',
      'run_step_failed',
      'run_step_skipped',
      'run_step_skipped',
      'workflow_updated',
      'run_failed',
      'task_updated',
      'task_cancelled',
    ]);
  });

  it('skips a step whose tasks nobody has begun, and tells so', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, [
      { key: 'a' },
      { key: 'idle', agent_type: 'nobody_is_this' },
    ]);

    await failForGood(agent);

    expect(statuses(await getRun(server, run_id))).toEqual({ a: 'failed', idle: 'skipped' });
    expect((await tasksOf(server, run_id)).map(({ status }) => status)).toEqual(['failed', 'skipped']);
    expect(await eventsOfRun(server, workflow_id)).toContain('run_step_skipped');
  });

  it('skips its own other tasks, too', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a', for_each: '[1, 2, 3]', max_parallel: 2 }]);

    await failForGood(agent);

    expect(await getRun(server, run_id)).toMatchObject({
      status: 'failed',
      failed_tasks: 1,
      steps: [{ status: 'failed', tasks_failed: 1 }],
    });
    expect(sorted((await tasksOf(server, run_id)).map(({ status }) => status))).toEqual([
      'failed',
      'skipped',
      'skipped',
    ]);
    expect(await lease(server, agent)).toEqual([]);
  });

  it('lets the run go on, to fail in the end, when told to continue', async () => {
    const { agent, run_id } = await startRun(server, [{ key: 'a', on_failure: 'continue' }, ...AROUND]);
    const held = await lease(server, agent, { max_tasks: 2 });
    await fail(
      server,
      held.find(({ task }) => task.step_key === 'a')!,
      { error: { message: 'No luck' }, retryable: false },
    );
    await complete(
      server,
      held.find(({ task }) => task.step_key === 'beside')!,
    );

    await workOff(server, agent);

    const run = await getRun(server, run_id);
    expect(run).toMatchObject({
      status: 'failed',
      error: { message: 'Step a failed: No luck', code: 'step_failed' },
      output: { later: 'did later' },
      progress_percentage: 100,
      completed_tasks: 3,
      failed_tasks: 1,
    });
    expect(statuses(run)).toEqual({ a: 'failed', beside: 'completed', after: 'completed', later: 'completed' });
  });

  it('counts as completed, with output null, when told to ignore', async () => {
    const { agent, run_id } = await startRun(server, [
      { key: 'a', on_failure: 'ignore' },
      { key: 'b', depends_on: ['a'], input: ['${{ steps.a }}'] },
    ]);

    await failForGood(agent);
    const done = await workOff(server, agent);

    expect(done).toMatchObject([{ task: { input: { value: [{ status: 'completed', output: null }] } } }]);
    expect(await getRun(server, run_id)).toMatchObject({
      status: 'completed',
      completed_tasks: 2,
      failed_tasks: 0,
      error: null,
    });
  });

  it.each([
    ['continue', 'failed', { status: 'failed', tasks_completed: 2, tasks_failed: 1 }],
    ['ignore', 'completed', { status: 'completed', tasks_completed: 3, tasks_failed: 0 }],
  ])('for some items only, told to %s', async (on_failure, status, step) => {
    const { agent, run_id } = await startRun(server, [
      { key: 'a', for_each: '["x", "y", "z"]', input: '${{ item }}', on_failure },
    ]);
    const held = await lease(server, agent, { max_tasks: 3 });

    for (const each of held) {
      const { value } = each.task.input;
      if (value === 'y') await fail(server, each, { retryable: false });
      else await complete(server, each, { output: value });
    }

    expect(await getRun(server, run_id)).toMatchObject({
      status,
      output: { a: ['x', null, 'z'] },
      steps: [{ ...step, output: ['x', null, 'z'] }],
    });
  });

  it.each([
    ['continue', { a: 'failed', b: 'completed' }, 'failed'],
    ['ignore', { a: 'completed', b: 'completed' }, 'completed'],
  ])('by its expression, told to %s', async (on_failure, steps, status) => {
    const { agent, run_id } = await startRun(server, [
      { key: 'a', on_failure, input: '${{ input.missing }}' },
      { key: 'b', depends_on: ['a'] },
    ]);

    await workOff(server, agent);

    const run = await getRun(server, run_id);
    expect(statuses(run)).toEqual(steps);
    expect(run).toMatchObject({
      status,
      steps: [{ error: { message: 'No such key: missing in: input.missing' } }, {}],
    });
  });

  it('fails when one of its tasks is cancelled or deleted', async () => {
    for (const remove of ['cancel', 'delete'] as const) {
      const { run_id } = await startRun(server, [{ key: 'a' }, { key: 'b', depends_on: ['a'] }]);
      const [task] = await tasksOf(server, run_id);

      if (remove === 'cancel') await server.post(`/api/v1/tasks/${task!.id}/cancel`);
      else await server.delete(`/api/v1/tasks/${task!.id}`);

      expect(await getRun(server, run_id)).toMatchObject({
        status: 'failed',
        steps: [{ status: 'failed', error: { code: 'cancelled' } }, { status: 'skipped' }],
      });
    }
  });

  it('may have outputs that are too large together', async () => {
    const { agent, run_id } = await startRun(server, [
      { key: 'a', for_each: '[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]' },
    ]);
    const held = await lease(server, agent, { max_tasks: 100 });

    for (const each of held) await complete(server, each, { output: 'x'.repeat(1_000_000) });

    expect(await getRun(server, run_id)).toMatchObject({
      status: 'failed',
      steps: [{ status: 'failed', error: { code: 'output_too_large' } }],
    });
  });
});

describe('a task of a run', () => {
  it('that fails and retries completes its step once', async () => {
    const { agent, workflow_id, run_id } = await startRun(server, [
      { key: 'a', retry: { backoff_seconds: 0 } },
      { key: 'b', depends_on: ['a'] },
    ]);
    const [first] = await lease(server, agent);
    await fail(server, first!);
    const whileRetrying = await getRun(server, run_id);
    const [second] = await eventually(async () => {
      const held = await lease(server, agent);
      expect(held).toHaveLength(1);
      return held;
    });

    await complete(server, second!, { output: 'at last' });
    const repeated = await complete(server, second!, { output: 'at last' });
    await workOff(server, agent);

    expect(whileRetrying).toMatchObject({
      status: 'running',
      failed_tasks: 0,
      steps: [{ status: 'running', tasks_failed: 0 }, { status: 'pending' }],
    });
    expect(second).toMatchObject({ task: { id: first!.task.id }, lease: { attempt: 2 } });
    expect(repeated.status).toBe(200);
    expect(await getRun(server, run_id)).toMatchObject({
      status: 'completed',
      completed_tasks: 2,
      steps: [{ output: 'at last', tasks_completed: 1 }, {}],
    });
    const types = await eventsOfRun(server, workflow_id);
    expect(types.filter((type) => type === 'run_step_completed')).toHaveLength(2);
    expect(types.filter((type) => type === 'run_step_started')).toHaveLength(2);
  });

  it.each(['failed', 'cancelled'])(
    'is not retried by hand when its run is %s: nobody would wait for it',
    async (status) => {
      const { agent, run_id } = await startRun(server, [{ key: 'a' }]);
      if (status === 'failed') await failForGood(agent);
      else await act(server, run_id, 'cancel');
      const [task] = await tasksOf(server, run_id);

      const retried = await server.post(`/api/v1/tasks/${task.id}/retry`);

      expect(retried).toMatchObject({ status: 409, body: { code: 'run_is_over' } });
      expect(retried.body.detail).toContain(run_id);
      expect((await tasksOf(server, run_id))[0]).toMatchObject({ status });
      expect(await lease(server, agent)).toEqual([]);
    },
  );

  it.each(['continue', 'ignore'])('that is retried by hand counts once, told to %s', async (on_failure) => {
    const { agent, run_id } = await startRun(server, [{ key: 'a', for_each: '[1, 2]', on_failure }]);
    const [held] = await lease(server, agent);
    await fail(server, held!, { retryable: false });

    await server.post(`/api/v1/tasks/${held!.task.id}/retry`);
    const between = await getRun(server, run_id);
    const [one] = await lease(server, agent);
    await complete(server, one!);
    const before = await getRun(server, run_id);
    await workOff(server, agent);

    expect(between).toMatchObject({ status: 'running', completed_tasks: 0, failed_tasks: 0, steps: [{ error: null }] });
    expect(before).toMatchObject({ status: 'running', completed_tasks: 1, failed_tasks: 0 });
    expect(await getRun(server, run_id)).toMatchObject({ status: 'completed', completed_tasks: 2, failed_tasks: 0 });
  });

  it('may be completed by hand', async () => {
    const { run_id, agent } = await startRun(server, [
      { key: 'a' },
      { key: 'b', depends_on: ['a'], input: '${{ steps.a.output }}' },
    ]);
    const [task] = await tasksOf(server, run_id);

    await server.patch(`/api/v1/tasks/${task!.id}/status`, { status: 'completed', output: { by: 'hand' } });

    expect(await workOff(server, agent)).toMatchObject([{ task: { input: { by: 'hand' } } }]);
    expect(await getRun(server, run_id)).toMatchObject({ status: 'completed' });
  });
});
