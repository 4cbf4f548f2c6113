import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { apiDocument } from '../support/api-document.js';
import { bearer, firstKey } from '../support/keys.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { Caller, callerOf, populate, type Things } from '../support/two-projects.js';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const CANARY = 'canaryofb';
const SUMMARIES = ['agents', 'tasks', 'workflows'].map((things) => `/${things}/stats/summary`);

describe('a key of one project', () => {
  let server: TestApp;
  let admin: Caller;
  let own: Things;
  let shared: Things;
  let A: string;
  let B: string;
  let viewer: Caller;
  let operator: Caller;
  let owner: Caller;
  let count = 0;

  beforeAll(async () => {
    server = await startTestApp({ environment: { AUTH_MODE: 'required' } });
    admin = new Caller(server, bearer(await firstKey(server)));
    A = (await admin.post('/projects', { name: 'A' })).id;
    B = (await admin.post('/projects', { name: CANARY })).id;
    own = await populate(admin, A, 'wordofa');
    shared = await populate(admin, null, 'wordofall');
    viewer = (await callerOf(admin, 'viewer', A)).caller;
    operator = (await callerOf(admin, 'operator', A)).caller;
    owner = (await callerOf(admin, 'admin', A)).caller;
  });
  afterAll(() => server.close());

  const agentOf = async (project_id: string | null, fields: object = {}) =>
    admin.post('/agents', { name: `agent ${++count}`, type: `type ${count}`, project_id, ...fields });
  const refusal = ({ status, body }: { status: number; body: { code: string; detail: string } }) => [
    status,
    body.code,
    body.detail,
  ];

  it('reads its own and what is shared, and counts nothing else', async () => {
    const before = await Promise.all(SUMMARIES.map((url) => viewer.get(url)));
    const [agents, tasks, workflows] = before;
    expect([agents.total, tasks.total, workflows.total]).toEqual([
      own.agent.length / 2 + shared.agent.length / 2,
      expect.any(Number),
      own.workflow.length + shared.workflow.length,
    ]);

    await populate(admin, B, CANARY);

    // Uptime grows by itself.
    const lasting = (summaries: object[]) => summaries.map((summary) => ({ ...summary, avg_uptime: null }));
    expect(lasting(await Promise.all(SUMMARIES.map((url) => viewer.get(url))))).toEqual(lasting(before));
    for (const url of ['/tasks', '/agents', '/workflows', '/projects']) {
      const { headers, body } = await viewer.request('GET', `/api/v1${url}?limit=1000`);
      expect(Number(headers['x-total-count'])).toBe(body.length);
      const projects = body.map(({ id, project_id }: { id: string; project_id?: string | null }) =>
        url === '/projects' ? id : project_id,
      );
      expect(new Set(projects)).toEqual(new Set(url === '/projects' ? [A] : [A, null]));
    }
  });

  it('gets nothing of another project from any route that reads', async () => {
    await populate(admin, B, `${CANARY}-more`);
    const { operations } = await apiDocument(server);
    const reading = operations.filter(({ method, path }) => method === 'GET' && path.startsWith('/api/'));
    const told = new Map<string, string>();
    for (const { path } of reading) {
      for (const things of path.includes('{') ? [own, shared] : [own]) {
        const kind = /(\w+?)s?\/\{id\}/.exec(path)?.[1] as keyof Things | undefined;
        for (const id of kind ? things[kind] : ['']) {
          const { body } = await owner.request('GET', path.replace('{id}', id));
          told.set(path, (told.get(path) ?? '') + JSON.stringify(body));
        }
      }
    }

    expect(told.size).toBeGreaterThan(50);
    expect([...told].filter(([, text]) => text.includes(CANARY) || text.includes(B)).map(([path]) => path)).toEqual([]);
    expect([...told.values()].join()).toContain('wordofa');
  });

  it('makes everything in its own project, whether it says so or not', async () => {
    for (const project_id of [undefined, null, A]) {
      const task = await operator.post('/tasks', { title: 'x', project_id });
      const workflow = await operator.post('/workflows', { name: 'x', project_id });
      const agent = await operator.post('/agents', { name: `mine ${++count}`, type: 'x', project_id });
      const key = await owner.post('/auth/keys', { name: 'x', role: 'viewer', project_id });

      expect([task, workflow, agent, key].map((made) => made.project_id)).toEqual([A, A, A, A]);
    }
    expect(refusal(await operator.request('POST', '/api/v1/projects', { name: 'another' }))).toEqual([
      403,
      'not_allowed',
      'A credential of one project makes no others',
    ]);
  });

  it('gives nothing away', async () => {
    const task = await operator.post('/tasks', { title: 'x' });
    const agent = await operator.post('/agents', { name: `kept ${++count}`, type: 'x' });
    const workflow = await operator.post('/workflows', { name: 'x' });
    const calls: [string, string, (project_id: string | null) => object][] = [
      ['PUT', `/tasks/${task.id}`, (project_id) => ({ project_id })],
      ['PUT', `/agents/${agent.id}`, (project_id) => ({ project_id })],
      ['PUT', `/workflows/${workflow.id}`, (project_id) => ({ project_id })],
      ['PATCH', '/tasks/bulk', (project_id) => ({ task_ids: [task.id], updates: { project_id } })],
    ];
    for (const [method, url, body] of calls) {
      const to = (project_id: string | null) => operator.request(method, `/api/v1${url}`, body(project_id));

      expect(refusal(await to(B)).slice(0, 2)).toEqual([422, 'unknown_reference']);
      expect(refusal(await to(null)).slice(0, 2)).toEqual([422, 'invalid_input']);
      expect((await to(A)).status).toBe(200);
    }
  });

  it('refers to its own things and to shared agents, to nothing else', async () => {
    const task = await operator.post('/tasks', { title: 'x', assigned_agent_id: shared.agent[1] });
    expect(task.assigned_agent).toMatchObject({ id: shared.agent[0], name: 'wordofall agent' });
    for (const fields of [{ dependencies: [shared.task[0]] }, { workflow_id: shared.workflow[2] }]) {
      const { status, body } = await operator.request('POST', '/api/v1/tasks', { title: 'x', ...fields });
      expect([status, body.code]).toEqual([422, 'unknown_reference']);
    }
    expect((await operator.post('/tasks', { title: 'x', workflow_id: own.workflow[2] })).workflow_id).toBe(
      own.workflow[2],
    );
  });

  it('leases tasks of its project only, for agents of its project only', async () => {
    const type = `leasing ${++count}`;
    const [mine, forAll, theirs] = [
      await agentOf(A, { type, max_concurrent_tasks: 9 }),
      await agentOf(null, { type }),
      await agentOf(B, { type }),
    ];
    for (const project_id of [A, B, null]) await admin.post('/tasks', { title: 'x', agent_type: type, project_id });
    const leased = await operator.post('/tasks/lease', { agent_id: mine.id, max_tasks: 9 });

    const tasks = leased.map(({ task }: { task: { project_id: string; agent_type: string } }) => task);
    expect(tasks.some(({ agent_type }: { agent_type: string }) => agent_type === type)).toBe(true);
    expect(tasks.filter(({ project_id }: { project_id: string }) => project_id !== A)).toEqual([]);
    for (const { id } of [forAll, theirs]) {
      expect(refusal(await operator.request('POST', '/api/v1/tasks/lease', { agent_id: id }))).toEqual([
        404,
        'agent_not_found',
        `No agent has the id or key ${id}`,
      ]);
    }
  });

  it('completes nothing of another project, not even with the token of its lease', async () => {
    const type = `completing ${++count}`;
    const agent = await agentOf(B, { type });
    const task = await admin.post('/tasks', { title: 'x', agent_type: type, project_id: B });
    const [{ lease }] = await admin.post('/tasks/lease', { agent_id: agent.id });
    const proof = { lease_token: lease.token };
    const calls: [string, object][] = [
      ['heartbeat', proof],
      ['complete', proof],
      ['fail', { ...proof, error: { message: 'x' } }],
      ['release', proof],
    ];
    for (const [what, body] of calls) {
      const answer = await operator.request('POST', `/api/v1/tasks/${task.id}/lease/${what}`, body);
      expect(refusal(answer)).toEqual([404, 'task_not_found', `No task has the id ${task.id}`]);
    }
    const [result] = await operator.post('/tasks/lease/complete', { results: [{ task_id: task.id, ...proof }] });
    expect(result).toMatchObject({ is_completed: false, problem: { status: 404, code: 'task_not_found' } });

    expect((await admin.post(`/tasks/${task.id}/lease/complete`, proof)).status).toBe('completed');
  });

  it('does not see what an agent of all projects works on, nor the names of agents of another', async () => {
    const type = `working ${++count}`;
    const agent = await agentOf(null, { type });
    await admin.post('/tasks', { title: CANARY, agent_type: type, project_id: B });
    await admin.post('/tasks/lease', { agent_id: agent.id });
    const task = await admin.post('/tasks', { title: 'x', project_id: A });
    const theirs = await agentOf(B, { name: `${CANARY} ${++count}` });
    await admin.patch(`/tasks/${task.id}/assign`, { agent_id: theirs.id });

    expect((await admin.get(`/agents/${agent.id}`)).current_task).toMatchObject({ title: CANARY });
    expect((await viewer.get(`/agents/${agent.id}`)).current_task).toBeNull();
    expect((await viewer.get(`/tasks/${task.id}`)).assigned_agent).toEqual({ id: theirs.id, name: null });
  });

  it('hears of what a task of its own waits for in another project only that it failed', async () => {
    const first = await admin.post('/tasks', { title: CANARY, project_id: B });
    const second = await admin.post('/tasks', { title: 'x', project_id: A, dependencies: [first.id] });
    await admin.post(`/tasks/${first.id}/cancel`);

    const { error, status } = await viewer.get(`/tasks/${second.id}`);

    expect(status).toBe('skipped');
    expect(error.message).toBe(`It depends on task ${first.id}, which did not complete`);
    expect(JSON.stringify(await viewer.get(`/tasks/${second.id}/events`))).not.toContain(CANARY);
  });

  it('has of what was moved to it only what happened since, and of what left it nothing', async () => {
    const comes = await admin.post('/tasks', { title: CANARY, project_id: B });
    const goes = await admin.post('/tasks', { title: 'x', project_id: A });
    await admin.put(`/tasks/${comes.id}`, { project_id: A, title: 'moved' });
    await admin.put(`/tasks/${goes.id}`, { project_id: B });
    const agent = await agentOf(B);
    await admin.patch(`/agents/${agent.id}/status`, {
      status: 'busy',
      current_task_id: comes.id,
      current_task_title: CANARY,
    });
    await admin.put(`/agents/${agent.id}`, { project_id: A });

    const events = await viewer.get(`/tasks/${comes.id}/events`);
    const records = await owner.get(`/audit?limit=1000`);

    expect(events.map(({ type }: { type: string }) => type)).toEqual(['task_updated']);
    expect(JSON.stringify([events, records])).not.toContain(CANARY);
    expect((await admin.get(`/audit?task_id=${comes.id}`))[0].changes.title).toEqual({
      before: CANARY,
      after: 'moved',
    });
    expect((await viewer.request('GET', `/api/v1/tasks/${goes.id}`)).status).toBe(404);
    expect((await viewer.get(`/agents/${agent.id}`)).current_task).toBeNull();
  });

  it('deletes what is its own, whatever of others that touches', async () => {
    const agent = await agentOf(A);
    const workflow = await admin.post('/workflows', { name: 'of all' });
    await admin.post(`/workflows/${workflow.id}/agents`, { agent_id: agent.id });

    expect((await operator.request('DELETE', `/api/v1/agents/${agent.id}`)).status).toBe(204);
    expect((await admin.get(`/workflows/${workflow.id}`)).assigned_agents).toEqual([]);
  });

  it('learns of a key or name that is taken elsewhere only that it is taken', async () => {
    const taken = await agentOf(B, { key: `taken-${++count}`, description: CANARY });
    const make = (fields: object) =>
      operator.request('POST', '/api/v1/agents', { name: 'new', type: 'new', ...fields });

    expect(refusal(await make({ key: taken.key }))).toEqual([
      409,
      'agent_exists',
      `There is already an agent with the key ${taken.key}`,
    ]);
    expect(refusal(await make({ name: taken.name, type: taken.type }))).toEqual([
      409,
      'agent_exists',
      'There is already an agent with this name and type',
    ]);
  });

  describe('of role agent', () => {
    it('registers in its project, and stays there with its type', async () => {
      const { caller } = await callerOf(admin, 'agent', A);
      const agent = await caller.post('/agents', { name: `born ${++count}`, type: 'worker' });
      const put = (fields: object) => caller.request('PUT', `/api/v1/agents/${agent.id}`, fields);

      expect(agent.project_id).toBe(A);
      expect((await put({ project_id: A, type: 'worker', description: 'the same' })).status).toBe(200);
      expect((await put({ project_id: B })).status).toBe(422);
      expect((await put({ project_id: null })).status).toBe(422);
      for (const fields of [{ type: 'boss' }, { agent_type: 'boss' }]) {
        expect(refusal(await put(fields)).slice(0, 2)).toEqual([403, 'not_allowed']);
      }
    });

    it('stays in its project also with a key that is bound to none', async () => {
      const agent = await agentOf(A);
      const { caller } = await callerOf(admin, 'agent', null, agent.id);

      for (const project_id of [B, null]) {
        const answer = await caller.request('PUT', `/api/v1/agents/${agent.id}`, { project_id });
        expect(refusal(answer).slice(0, 2)).toEqual([403, 'not_allowed']);
      }
      expect((await caller.request('POST', '/api/v1/tasks/lease', { agent_id: agent.id })).status).toBe(200);
    });

    it('is made for an agent of its project only', async () => {
      for (const project_id of [B, null]) {
        const agent = await agentOf(project_id);
        for (const caller of [admin, owner]) {
          const fields = { name: 'x', role: 'agent', project_id: A, agent_id: agent.id };
          const answer = await caller.request('POST', '/api/v1/auth/keys', fields);
          expect(refusal(answer)).toEqual([422, 'unknown_reference', `No agent has the id ${agent.id}`]);
        }
      }
    });

    it('is nobody any more when its agent was moved to another project', async () => {
      const agent = await agentOf(A);
      const { caller } = await callerOf(admin, 'agent', A, agent.id);
      expect((await caller.request('POST', `/api/v1/agents/${agent.id}/heartbeat`, {})).status).toBe(200);
      await admin.put(`/agents/${agent.id}`, { project_id: B });

      for (const [url, body] of [
        [`/api/v1/agents/${agent.id}/heartbeat`, {}],
        ['/api/v1/tasks/lease', { agent_id: agent.id }],
      ] as const) {
        expect((await caller.request('POST', url, body)).status).toBe(404);
      }
    });
  });

  it('asks for many at once, each with the eyes of its own caller', async () => {
    const task = await admin.post('/tasks', { title: 'x', project_id: B });
    const callers = [admin, viewer, admin, owner, viewer, admin];

    const answers = await Promise.all(callers.map((caller) => caller.request('GET', `/api/v1/tasks/${task.id}`)));

    expect(answers.map(({ status }) => status)).toEqual([200, 404, 200, 404, 404, 200]);
  });

  it('deletes its project with all that belongs to it, and ends with it', async () => {
    const { id } = await admin.post('/projects', { name: 'C' });
    const { caller } = await callerOf(admin, 'admin', id);
    const agent = await caller.post('/agents', { name: `gone ${++count}`, type: 'x' });
    await admin.post(`/workflows/${shared.workflow[0]}/agents`, { agent_id: agent.id });

    expect((await caller.request('DELETE', `/api/v1/projects/${id}`)).status).toBe(204);
    expect((await caller.request('GET', '/api/v1/auth/me')).status).toBe(401);
    expect((await admin.request('GET', `/api/v1/agents/${agent.id}`)).status).toBe(404);
  });
});
