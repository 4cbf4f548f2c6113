import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, lease, makeAgent, makeProject, makeTask, makeWorkflow } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';
const WORKFLOWS = '/api/v1/workflows';

let server: TestApp;

beforeAll(async () => {
  server = await startTestApp();
});
afterAll(() => server.close());

const typesOf = async (workflow_id: string) => (await server.events({ workflow_id })).map(({ type }) => type);

describe('workflows', () => {
  it('are created with their defaults, and leave a trace', async () => {
    const { status, body, headers } = await server.post(WORKFLOWS, {
      name: 'Nightly',
      metadata: { z: 1, a: [2] },
      unknown: 1,
    });

    expect(status).toBe(201);
    expect(headers.location).toBe(`${WORKFLOWS}/${body.id}`);
    expect(body).toMatchObject({
      name: 'Nightly',
      status: 'pending',
      project_id: null,
      description: null,
      workflow_type: null,
      definition: null,
      configuration: {},
      parameters: {},
      metadata: { z: 1, a: [2] },
      assigned_agents: [],
      tags: [],
      is_paused: false,
      is_template: false,
      requires_approval: false,
      progress_percentage: 0,
      progress: 0,
      total_tasks: 0,
      completed_tasks: 0,
      failed_tasks: 0,
      schedule: null,
      quality_metrics: { success_rate: null, quality_score: null, efficiency_score: null },
      latest_run_id: null,
    });
    expect(body).not.toHaveProperty('unknown');
    expect((await server.get(`${WORKFLOWS}/${body.id}`)).body).toEqual(body);
    expect(await server.events({ workflow_id: body.id })).toMatchObject([
      {
        type: 'workflow_created',
        source: 'user',
        data: { name: 'Nightly' },
        metadata: { request_id: headers['x-request-id'] },
      },
    ]);
  });

  it('keep what an update does not mention, and clear what it sets to null', async () => {
    const { id: project_id } = await makeProject(server);
    const { id } = await makeWorkflow(server, {
      project_id,
      description: 'before',
      steps: [{ key: 'a' }],
      tags: ['x'],
    });

    const renamed = await server.put(`${WORKFLOWS}/${id}`, { name: 'After' });
    const cleared = await server.put(`${WORKFLOWS}/${id}`, { description: null, project_id: null, definition: null });

    expect(renamed.body).toMatchObject({
      name: 'After',
      description: 'before',
      tags: ['x'],
      definition: { steps: [{ key: 'a' }] },
    });
    expect(cleared.body).toMatchObject({
      name: 'After',
      description: null,
      project_id: null,
      tags: ['x'],
      definition: null,
    });
    expect(await typesOf(id)).toEqual(['workflow_created', 'workflow_updated', 'workflow_updated']);
  });

  it('may be created from what another one begins with', async () => {
    const { name, ...rest } = await makeWorkflow(server, { tags: ['copied'] });

    const copy = await makeWorkflow(server, { ...rest, name: `Copy of ${name}` });

    expect(copy).toMatchObject({ status: 'pending', scheduled_at: null, tags: ['copied'] });
  });

  it.each([
    ['no name', {}, '/name'],
    ['an empty name', { name: '' }, '/name'],
    ['a blank name', { name: '  ' }, '/name'],
    ['a name that is too long', { name: 'x'.repeat(256) }, '/name'],
    ['a name of another type', { name: 7 }, '/name'],
    ['null for a name', { name: null }, '/name'],
    ['a project that is no id', { name: 'x', project_id: 'nonsense' }, '/project_id'],
    ['an unknown project', { name: 'x', project_id: UNKNOWN }, '/project_id'],
    ['parameters that are no object', { name: 'x', parameters: [] }, '/parameters'],
    ['null for parameters', { name: 'x', parameters: null }, '/parameters'],
    ['a flag of another type', { name: 'x', is_template: 'yes' }, '/is_template'],
    ['a negative estimate', { name: 'x', estimated_duration_hours: -1 }, '/estimated_duration_hours'],
    ['a status', { name: 'x', status: 'active' }, '/status'],
    ['a time of execution', { name: 'x', scheduled_at: '2030-01-01T00:00:00Z' }, '/scheduled_at'],
    ['a definition of another type', { name: 'x', definition: 'steps' }, '/definition'],
    ['a definition without steps', { name: 'x', definition: {} }, '/definition/steps'],
    ['steps that are no list', { name: 'x', steps: { key: 'a' } }, '/steps'],
    ['null for steps', { name: 'x', steps: null }, '/steps'],
    ['a step of another type', { name: 'x', steps: ['a'] }, '/steps/0'],
    ['a step that is null', { name: 'x', steps: [null] }, '/steps/0'],
    ['a step that is a list', { name: 'x', steps: [{ key: 'a' }, [{ key: 'b' }]] }, '/steps/1'],
    ['a step that is an empty list', { name: 'x', steps: [[]] }, '/steps/0'],
    ['too many steps', { name: 'x', steps: Array.from({ length: 501 }, (_, n) => ({ key: `s${n}` })) }, '/steps'],
  ])('refuse %s', async (_what, body, pointer) => {
    const answer = await server.post(WORKFLOWS, body);

    expect(answer.status).toBe(422);
    expect(answer.body.errors[0].pointer.startsWith(pointer)).toBe(true);
  });

  it('answer 404 for an unknown id and 422 for a malformed one, whatever the route', async () => {
    const routes = [
      ['GET', ''],
      ['PUT', '', { name: 'x' }],
      ['DELETE', ''],
      ['PATCH', '/status', { status: 'active' }],
      ['POST', '/agents', { agent_id: (await makeAgent(server)).id }],
      ['DELETE', `/agents/${UNKNOWN}`],
      ['POST', '/execute', {}],
      ['GET', '/tasks'],
      ['GET', '/runs'],
      ['POST', '/validate', {}],
      ['GET', '/graph'],
    ] as const;

    for (const [method, path, body] of routes) {
      expect((await server.request(method, `${WORKFLOWS}/${UNKNOWN}${path}`, body)).body).toMatchObject({
        status: 404,
        code: 'workflow_not_found',
      });
      expect((await server.request(method, `${WORKFLOWS}/nonsense${path}`, body)).status).toBe(422);
    }
  });

  it('are listed by status, type, project, template, tags and name', async () => {
    const { id: project_id } = await makeProject(server);
    const fields = {
      project_id,
      workflow_type: 'etl',
      is_template: true,
      tags: ['red', 'blue'],
      name: 'Find 100% of me',
    };
    const { id } = await makeWorkflow(server, fields);

    for (const query of [
      `project_id=${project_id}`,
      'workflow_type=etl',
      'is_template=true',
      'tags=green,red',
      'search=100%25',
      `status=pending&project_id=${project_id}`,
    ]) {
      expect((await server.get(`${WORKFLOWS}?${query}`)).body.map((workflow: { id: string }) => workflow.id)).toEqual([
        id,
      ]);
    }
    expect((await server.get(`${WORKFLOWS}?status=running&project_id=${project_id}`)).body).toEqual([]);
    expect((await server.get(`${WORKFLOWS}?status=nonsense`)).status).toBe(422);
    expect((await server.get(`${WORKFLOWS}?sort_by=definition`)).status).toBe(422);
    expect((await server.get('/api/workflows?limit=1')).body).toMatchObject({ items: [{ id }], limit: 1 });
  });

  it('are deleted with their runs and tasks; their events stay', async () => {
    const agent = await makeAgent(server);
    const { id } = await makeWorkflow(server, { steps: [{ key: 'a', agent_type: agent.type }] });
    const { run } = (await server.post(`${WORKFLOWS}/${id}/execute`, {})).body;
    const [held] = await lease(server, agent);
    await complete(server, held!);

    expect((await server.delete(`${WORKFLOWS}/${id}`)).status).toBe(204);

    for (const path of [`workflows/${id}`, `runs/${run.id}`, `tasks/${held!.task.id}`]) {
      expect((await server.get(`/api/v1/${path}`)).status).toBe(404);
    }
    expect((await typesOf(id)).at(-1)).toBe('workflow_deleted');
  });

  it('are not deleted while a run is live', async () => {
    const { id } = await makeWorkflow(server, { steps: [{ key: 'a', agent_type: 'nobody' }] });
    const { run } = (await server.post(`${WORKFLOWS}/${id}/execute`, {})).body;

    const refused = await server.delete(`${WORKFLOWS}/${id}`);
    await server.post(`/api/v1/runs/${run.id}/cancel`);

    expect(refused).toMatchObject({ status: 409, body: { code: 'workflow_is_running' } });
    expect((await server.delete(`${WORKFLOWS}/${id}`)).status).toBe(204);
  });

  it('free the agents that still hold a task of theirs when they are deleted', async () => {
    const agent = await makeAgent(server, { max_concurrent_tasks: 1 });
    const { id } = await makeWorkflow(server, { steps: [{ key: 'a', agent_type: agent.type }] });
    const { run } = (await server.post(`${WORKFLOWS}/${id}/execute`, {})).body;
    const [held] = await lease(server, agent);
    await server.post(`/api/v1/runs/${run.id}/cancel`);

    expect((await server.delete(`${WORKFLOWS}/${id}`)).status).toBe(204);

    expect((await complete(server, held!)).status).toBe(404);
    const next = await makeTask(server, { agent_type: agent.type });
    expect(await lease(server, agent)).toMatchObject([{ task: { id: next.id } }]);
  });

  it('are counted, with their runs', async () => {
    const before = (await server.get(`${WORKFLOWS}/stats/summary`)).body;
    const agent = await makeAgent(server);
    const { id } = await makeWorkflow(server, { steps: [{ key: 'a', agent_type: agent.type }] });
    await server.post(`${WORKFLOWS}/${id}/execute`, {});

    const running = (await server.get(`${WORKFLOWS}/stats/summary`)).body;
    await complete(server, (await lease(server, agent))[0]!);
    const after = (await server.get(`${WORKFLOWS}/stats/summary`)).body;

    expect(running).toMatchObject({ total: before.total + 1, live_runs: before.live_runs + 1 });
    expect(running.by_status.running).toBe(before.by_status.running + 1);
    expect(after).toMatchObject({ total: before.total + 1, live_runs: before.live_runs });
    expect(after.by_status).toMatchObject({
      running: before.by_status.running,
      completed: before.by_status.completed + 1,
    });
    expect(after.run_success_rate).toBeGreaterThan(0);
    expect(after.avg_progress).toBeGreaterThan(0);
  });
});

describe('a definition', () => {
  const create = (steps: unknown) => server.post(WORKFLOWS, { name: 'x', steps });

  it('is stored as it came, under either of its names', async () => {
    const { id: project_id } = await makeProject(server);
    const step = {
      key: 'a_1',
      name: 'Do it',
      instructions: null,
      task_type: 'x',
      agent_type: 'coder',
      required_capabilities: ['python'],
      priority: 'high',
      timeout_seconds: 60,
      retry: { backoff_seconds: 0 },
      max_attempts: 2,
      depends_on: [],
      input: { z: [1, null, { deep: '${{ input.x }}' }], a: true, length: 3, '10': 'ten' },
      when: 'true',
      for_each: '[1, 2]',
      max_parallel: 1,
      on_failure: 'ignore',
    };

    const flat = await create([step]);
    const nested = await server.post(WORKFLOWS, {
      name: 'x',
      project_id,
      definition: { steps: [{ ...step, strange: 1 }] },
    });

    expect(flat.body.definition).toEqual({ steps: [step] });
    expect(nested.body.definition).toEqual({ steps: [step] });
    expect(JSON.stringify(flat.body.definition.steps[0].input)).toBe(JSON.stringify(step.input));
  });

  it('keeps the input of a step whatever its keys are', async () => {
    const odd = '{"2":0,"10":0,"toString":1,"valueOf":{"hasOwnProperty":[{"toString":"x"}]},"type":"Buffer"}';
    const steps = [
      { key: 'object', input: JSON.parse(odd) },
      { key: 'list', input: [JSON.parse(odd), [JSON.parse(odd)]] },
      { key: 'text', input: 'text' },
      { key: 'none', input: null },
    ].map((step) => ({ ...step, agent_type: 'nobody' }));

    const { body } = await create(steps);
    const { run } = (await server.post(`${WORKFLOWS}/${body.id}/execute`, {})).body;
    const updated = (await server.put(`${WORKFLOWS}/${body.id}`, { definition: { steps } })).body;

    for (const { definition } of [body, updated]) {
      expect(JSON.stringify(definition.steps.map((step: { input: unknown }) => step.input))).toBe(
        JSON.stringify(steps.map(({ input }) => input)),
      );
    }
    const tasks = (await server.get(`/api/v1/tasks?run_id=${run.id}&sort_order=asc`)).body;
    expect(tasks.map(({ input }: { input: unknown }) => JSON.stringify(input))).toEqual([
      odd,
      `{"value":[${odd},[${odd}]]}`,
      '{"value":"text"}',
      '{}',
    ]);
  });

  it('is not given twice', async () => {
    const steps = [{ key: 'a' }];

    expect((await server.post(WORKFLOWS, { name: 'x', steps, definition: { steps } })).body).toMatchObject({
      status: 422,
      errors: [{ pointer: '/steps' }],
    });
  });

  it.each([
    ['a key twice', [{ key: 'a' }, { key: 'a' }], '/1/key', 'already'],
    ['no key', [{ name: 'x' }], '/0/key', ''],
    ['null for a key', [{ key: null }], '/0/key', ''],
    ['a key of another type', [{ key: 1 }], '/0/key', ''],
    ['a key in capitals', [{ key: 'A' }], '/0/key', 'must begin with a-z'],
    ['a key that begins with a digit', [{ key: '1a' }], '/0/key', ''],
    ['a key with a hyphen', [{ key: 'a-b' }], '/0/key', ''],
    ['a key of JavaScript', [{ key: '__proto__' }], '/0/key', ''],
    ['a key that is too long', [{ key: 'a'.repeat(101) }], '/0/key', ''],
    ['an unknown dependency', [{ key: 'a', depends_on: ['b'] }], '/0/depends_on/0', 'there is no step b'],
    ['a dependency of another type', [{ key: 'a', depends_on: [1] }], '/0/depends_on', ''],
    [
      'a cycle',
      [
        { key: 'a', depends_on: ['b'] },
        { key: 'b', depends_on: ['a'] },
      ],
      '/0/depends_on',
      'a -> b -> a',
    ],
    ['a syntax error', [{ key: 'a', when: 'input. >' }], '/0/when', 'in: input. >'],
    ['an unknown step', [{ key: 'a', input: { x: '${{ steps.b.output }}' } }], '/0/input/x', 'there is no step b'],
    ['a step beside', [{ key: 'a', when: 'steps.b.output' }, { key: 'b' }], '/0/when', 'does not come before'],
    ['an item without a list', [{ key: 'a', name: '${{ item }}' }], '/0/name', 'for_each'],
    ['an unknown agent', [{ key: 'a', agent_id: UNKNOWN }], '/0/agent_id', 'No agent'],
    ['an agent of another type', [{ key: 'a', agent_id: 7 }], '/0/agent_id', ''],
    ['an expression that is too long', [{ key: 'a', when: 'x'.repeat(10_001) }], '/0/when', ''],
    ['an expression of another type', [{ key: 'a', when: true }], '/0/when', ''],
    ['an unknown way to fail', [{ key: 'a', on_failure: 'explode' }], '/0/on_failure', ''],
    ['none in parallel', [{ key: 'a', max_parallel: 0 }], '/0/max_parallel', ''],
    ['too many attempts', [{ key: 'a', max_attempts: 101 }], '/0/max_attempts', ''],
    ['an unknown priority', [{ key: 'a', priority: 'extreme' }], '/0/priority', ''],
    ['a bad way to retry', [{ key: 'a', retry: { factor: 0 } }], '/0/retry/factor', ''],
  ])('is refused with %s', async (_what, steps, pointer, detail) => {
    const flat = await create(steps);
    const nested = await server.post(WORKFLOWS, { name: 'x', definition: { steps } });

    expect(flat).toMatchObject({ status: 422, body: { code: 'invalid_input' } });
    expect(flat.body.errors).toMatchObject([{ pointer: `/steps${pointer}`, detail: expect.stringContaining(detail) }]);
    expect(nested.body.errors).toMatchObject([{ pointer: `/definition/steps${pointer}` }]);
  });

  it('names agents by id or key, and keeps the id', async () => {
    const agent = await makeAgent(server, { key: 'the-coder' });

    const { body } = await create([
      { key: 'a', agent_id: 'the-coder' },
      { key: 'b', agent_id: agent.id },
      { key: 'c', agent_id: null },
    ]);

    expect(body.definition.steps.map((step: { agent_id: string }) => step.agent_id)).toEqual([
      agent.id,
      agent.id,
      null,
    ]);
  });

  it('is as large as allowed, and checked quickly', async () => {
    const keys = Array.from({ length: 500 }, (_, index) => `s${index}`);
    const begin = performance.now();

    const answer = await create(keys.map((key, index) => ({ key, depends_on: keys.slice(0, index) })));

    expect(answer.status).toBe(201);
    expect(performance.now() - begin).toBeLessThan(8_000);
  });

  it('is checked without being saved', async () => {
    const { id } = await makeWorkflow(server, { steps: [{ key: 'saved' }] });
    const validate = async (body: unknown) => (await server.post(`${WORKFLOWS}/${id}/validate`, body)).body;
    const steps = [
      { key: 'a' },
      { key: 'b', depends_on: ['a'] },
      { key: 'c', depends_on: ['a'] },
      { key: 'd', depends_on: ['b', 'c'] },
    ];

    expect(await validate({ steps })).toEqual({ valid: true, errors: [], order: [['a'], ['b', 'c'], ['d']] });
    expect(await validate({ definition: { steps } })).toMatchObject({ valid: true });
    expect(await validate({})).toEqual({ valid: true, errors: [], order: [['saved']] });
    expect(await validate(undefined)).toMatchObject({ valid: true, order: [['saved']] });
    expect(await validate({ definition: null })).toMatchObject({ valid: true, order: [['saved']] });
    expect(await validate({ steps: [{ key: 'a', depends_on: ['a'], agent_id: 'no-such' }] })).toEqual({
      valid: false,
      order: [],
      errors: [
        { pointer: '/steps/0/depends_on', detail: 'the steps wait for each other: a -> a' },
        { pointer: '/steps/0/agent_id', detail: 'No agent has the id or key no-such' },
      ],
    });
    expect(await validate({ steps, definition: { steps } })).toMatchObject({ status: 422 });
    expect(await validate({ steps: 'a' })).toMatchObject({ status: 422 });
    expect((await server.get(`${WORKFLOWS}/${id}`)).body.definition).toEqual({ steps: [{ key: 'saved' }] });
    expect(await typesOf(id)).toEqual(['workflow_created']);
  });
});

describe('agents of a workflow', () => {
  const make = async () => {
    const agent_type = `painter ${Math.random()}`;
    const [one, two] = [await makeAgent(server, { type: agent_type }), await makeAgent(server, { type: agent_type })];
    const steps = [{ key: 'a', agent_type, for_each: '[1, 2]' }];
    const { id } = await makeWorkflow(server, { steps });
    return { id, one, two };
  };

  it('are the only ones that may lease its tasks, once there are any', async () => {
    const { id, one, two } = await make();

    const assigned = await server.post(`${WORKFLOWS}/${id}/agents`, { agent_id: one.id });
    await server.post(`${WORKFLOWS}/${id}/execute`, {});

    expect(assigned).toMatchObject({ status: 200, body: { assigned_agents: [{ id: one.id, name: one.name }] } });
    expect(await lease(server, two)).toEqual([]);
    expect(await lease(server, one)).toHaveLength(1);
  });

  it('may be changed while it runs', async () => {
    const { id, one, two } = await make();
    await server.post(`${WORKFLOWS}/${id}/execute`, {});

    await server.post(`${WORKFLOWS}/${id}/agents`, { agent_id: one.id });
    const whileAssigned = await lease(server, two);
    const removed = await server.delete(`${WORKFLOWS}/${id}/agents/${one.id}`);

    expect(whileAssigned).toEqual([]);
    expect(removed).toMatchObject({ status: 200, body: { assigned_agents: [] } });
    expect(await lease(server, two)).toHaveLength(1);
    expect((await typesOf(id)).filter((type) => type.startsWith('workflow_agent'))).toEqual([
      'workflow_agent_assigned',
      'workflow_agent_removed',
    ]);
  });

  it('are named by id or key, with a name of their own, and assigned once', async () => {
    const { id, one } = await make();
    const { key } = await makeAgent(server, { key: `painter-${process.pid}` });

    await server.post(`${WORKFLOWS}/${id}/agents`, { agent_id: one.id });
    await server.post(`${WORKFLOWS}/${id}/agents`, { agent_id: one.id, agent_name: 'A first' });
    const { body } = await server.post(`${WORKFLOWS}/${id}/agents`, { agent_id: key });

    expect(body.assigned_agents).toMatchObject([{ id: one.id, name: 'A first' }, { name: expect.any(String) }]);
  });

  it('are those that an execution names', async () => {
    const { id, one, two } = await make();
    await server.post(`${WORKFLOWS}/${id}/agents`, { agent_id: one.id });

    const { body } = await server.post(`${WORKFLOWS}/${id}/execute`, { assigned_agents: [two.id, two.id] });

    expect(body.workflow.assigned_agents).toEqual([{ id: two.id, name: two.name }]);
    expect(await lease(server, one)).toEqual([]);
    expect(await lease(server, two)).toHaveLength(1);
    expect((await typesOf(id)).filter((type) => type.startsWith('workflow_agent'))).toEqual([
      'workflow_agent_assigned',
      'workflow_agent_removed',
      'workflow_agent_assigned',
    ]);
  });

  it('must exist', async () => {
    const { id, one } = await make();

    expect((await server.post(`${WORKFLOWS}/${id}/agents`, { agent_id: UNKNOWN })).body).toMatchObject({
      status: 422,
      errors: [{ pointer: '/agent_id' }],
    });
    expect((await server.post(`${WORKFLOWS}/${id}/agents`, {})).body.errors).toMatchObject([{ pointer: '/agent_id' }]);
    expect((await server.post(`${WORKFLOWS}/${id}/agents`, { agent_id: null })).status).toBe(422);
    expect(
      (await server.post(`${WORKFLOWS}/${id}/execute`, { assigned_agents: [one.id, 'no-such'] })).body,
    ).toMatchObject({
      status: 422,
      errors: [{ pointer: '/assigned_agents/1' }],
    });
    expect((await server.delete(`${WORKFLOWS}/${id}/agents/${UNKNOWN}`)).status).toBe(200);
    expect((await server.get(`${WORKFLOWS}/${id}`)).body).toMatchObject({ assigned_agents: [], latest_run_id: null });
  });

  it('are forgotten when they are deleted', async () => {
    const { id, one, two } = await make();
    await server.post(`${WORKFLOWS}/${id}/execute`, { assigned_agents: [one.id, two.id] });

    await server.delete(`/api/v1/agents/${one.id}`);
    await server.delete(`/api/v1/agents/${two.id}`);

    const third = await makeAgent(server, { type: one.type });
    expect((await server.get(`${WORKFLOWS}/${id}`)).body.assigned_agents).toEqual([]);
    expect(await lease(server, third)).toHaveLength(1);
  });
});
