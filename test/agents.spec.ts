import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, fail, lease, makeAgent, makeProject, makeTask } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';

describe('agents', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  const typesOf = async (agent: { id: string }) =>
    (await server.events({ agent_id: agent.id })).map(({ type }) => type);
  const read = async (agent: { id: string }) => (await server.get(`/api/v1/agents/${agent.id}`)).body;

  describe('when created', () => {
    it('have their defaults, and leave a trace', async () => {
      const { status, body, headers } = await server.post('/api/v1/agents', { name: 'Scout', type: 'researcher' });

      expect(status).toBe(201);
      expect(headers.location).toBe(`/api/v1/agents/${body.id}`);
      expect(body).toEqual({
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        key: null,
        name: 'Scout',
        type: 'researcher',
        agent_type: 'researcher',
        status: 'idle',
        description: null,
        runner: 'pull',
        configuration: {},
        model: null,
        tools: [],
        capabilities: [],
        max_concurrent_tasks: 1,
        project_id: null,
        tags: [],
        metadata: {},
        is_active: true,
        is_draining: false,
        current_task: null,
        performance_metrics: {
          tasks_completed: 0,
          tasks_failed: 0,
          success_rate: 0,
          avg_response_time: 0,
          uptime_percentage: 0,
          quality_score: null,
          improvement: null,
          processing_time_ms: 0,
          error_count: 0,
        },
        last_heartbeat: null,
        last_activity: null,
        created_at: expect.stringMatching(/Z$/),
        updated_at: body.created_at,
      });
      expect(await server.events({ agent_id: body.id })).toMatchObject([
        {
          type: 'agent_created',
          source: 'user',
          data: { name: 'Scout', agent_type: 'researcher', status: 'idle' },
          metadata: { request_id: headers['x-request-id'] },
        },
      ]);
    });

    it('keep every field that is given, and answer alike in every version', async () => {
      const { id: project_id } = await makeProject(server);
      const fields = {
        key: 'agent_8',
        name: 'Agent 8',
        agent_type: 'writer',
        status: 'offline',
        description: 'Writes',
        runner: 'pull',
        configuration: { model: 'm-1', tools: ['t'], capabilities: ['c'], temperature: 0.5, nested: { a: [1, null] } },
        max_concurrent_tasks: 1000,
        project_id,
        tags: ['a', 'b'],
        metadata: { z: 1, a: { deep: [true] } },
      };

      const { body } = await server.post('/api/v2/agents', fields);

      expect(body).toMatchObject({
        ...fields,
        type: 'writer',
        is_active: false,
        model: 'm-1',
        tools: ['t'],
        capabilities: ['c'],
      });
      for (const base of ['/api/v1', '/api/v2', '/api']) {
        expect((await server.get(`${base}/agents/agent_8/`)).body).toEqual(body);
      }
    });

    it('take the type under either name, but not two different ones', async () => {
      const same = await server.post('/api/v1/agents', { name: 'Both', type: 'x', agent_type: 'x' });
      const different = await server.post('/api/v1/agents', { name: 'Two', type: 'x', agent_type: 'y' });

      expect(same.body).toMatchObject({ type: 'x', agent_type: 'x' });
      expect(different).toMatchObject({
        status: 422,
        body: { code: 'invalid_input', errors: [{ pointer: '/agent_type' }] },
      });
    });

    it('read model, tools and capabilities from the top level into the configuration', async () => {
      const { body } = await server.post('/api/v1/agents', {
        name: 'Merged',
        type: 'merged',
        configuration: { model: 'old', temperature: 1 },
        model: 'new',
        tools: ['search'],
        capabilities: ['python', 'sql'],
      });

      expect(body.configuration).toEqual({
        model: 'new',
        temperature: 1,
        tools: ['search'],
        capabilities: ['python', 'sql'],
      });
      expect(body).toMatchObject({ model: 'new', tools: ['search'], capabilities: ['python', 'sql'] });
    });

    it('drop fields that nobody knows, and those that are not the client’s to write', async () => {
      const { body } = await server.post('/api/v1/agents', {
        name: 'Sly',
        type: 'sly',
        nonsense: 1,
        held_tasks: 7,
        is_draining: true,
        tasks_completed: 9,
        id: UNKNOWN,
      });

      expect(body).toMatchObject({ is_draining: false, performance_metrics: { tasks_completed: 0 } });
      expect(body.id).not.toBe(UNKNOWN);
    });

    it('conflict over the same name and type, and over the same key', async () => {
      await makeAgent(server, { name: 'Twin', type: 'twin', key: 'twin' });

      const named = await server.post('/api/v1/agents', { name: 'Twin', type: 'twin' });
      const keyed = await server.post('/api/v1/agents', { name: 'Other', type: 'twin', key: 'twin' });
      const otherType = await server.post('/api/v1/agents', { name: 'Twin', type: 'other' });

      expect(named).toMatchObject({ status: 409, body: { code: 'agent_exists' } });
      expect(keyed).toMatchObject({
        status: 409,
        body: { code: 'agent_exists', detail: expect.stringContaining('twin') },
      });
      expect(otherType.status).toBe(201);
    });

    it('name the project that does not exist', async () => {
      const answer = await server.post('/api/v1/agents', { name: 'Lost', type: 'lost', project_id: UNKNOWN });

      expect(answer).toMatchObject({
        status: 422,
        body: { code: 'unknown_reference', errors: [{ pointer: '/project_id' }] },
      });
    });

    it.each([
      ['no name', { name: undefined }, '/name'],
      ['an empty name', { name: '' }, '/name'],
      ['a blank name', { name: '  ' }, '/name'],
      ['a name that is too long', { name: 'x'.repeat(256) }, '/name'],
      ['null for a name', { name: null }, '/name'],
      ['no type', { type: undefined }, '/type'],
      ['null for a type', { type: null }, '/type'],
      ['a type that is too long', { type: 'x'.repeat(101) }, '/type'],
      ['a key that looks like a UUID', { key: UNKNOWN }, '/key'],
      ['a key that begins as a UUID does', { key: '01890000-abc' }, '/key'],
      ['a key with a slash', { key: 'a/b' }, '/key'],
      ['a key that is too long', { key: 'k'.repeat(101) }, '/key'],
      ['an unknown status', { status: 'sleeping' }, '/status'],
      ['an unknown runner', { runner: 'push' }, '/runner'],
      ['no slots', { max_concurrent_tasks: 0 }, '/max_concurrent_tasks'],
      ['too many slots', { max_concurrent_tasks: 1001 }, '/max_concurrent_tasks'],
      ['half a slot', { max_concurrent_tasks: 1.5 }, '/max_concurrent_tasks'],
      ['slots as text', { max_concurrent_tasks: '3' }, '/max_concurrent_tasks'],
      ['a configuration that is a list', { configuration: [] }, '/configuration'],
      ['null for a configuration', { configuration: null }, '/configuration'],
      ['tools that are no list', { tools: 'search' }, '/tools'],
      ['tools that are no text', { tools: [1] }, '/tools'],
      [
        'capabilities in the configuration that are no list',
        { configuration: { capabilities: 'x' } },
        '/configuration/capabilities',
      ],
      [
        'capabilities in the configuration that are null',
        { configuration: { capabilities: null } },
        '/configuration/capabilities',
      ],
      ['a model in the configuration that is no text', { configuration: { model: 4 } }, '/configuration/model'],
      ['an endless list of tags', { tags: Array.from({ length: 1001 }, () => 't') }, '/tags'],
      ['metadata that is text', { metadata: 'x' }, '/metadata'],
      ['a project id that is none', { project_id: 'apollo' }, '/project_id'],
      ['U+0000 in a name', { name: 'a\u0000b' }, '/name'],
    ])('refuse %s', async (_what, fields, pointer) => {
      const answer = await server.post('/api/v1/agents', { name: 'Refused', type: 'refused', ...fields });

      expect(answer.status).toBe(422);
      expect(answer.body).toMatchObject({ code: 'invalid_input', errors: [{ pointer }] });
    });

    it('refuse a body that is no object', async () => {
      for (const body of ['[]', '"agent"', '7', 'null']) {
        expect((await server.post('/api/v1/agents', body)).status).toBe(422);
      }
    });
  });

  it('answer 404 for an unknown id or key and 422 for what can be neither, whatever the route', async () => {
    const routes = [
      ['GET', '', undefined],
      ['PUT', '', {}],
      ['DELETE', '', undefined],
      ['PATCH', '/status', { status: 'idle' }],
      ['PATCH', '/metrics', {}],
      ['POST', '/heartbeat', {}],
      ['POST', '/drain', undefined],
      ['POST', '/resume', undefined],
    ] as const;

    for (const [method, path, body] of routes) {
      for (const ref of [UNKNOWN, 'nobody']) {
        const answer = await server.request(method, `/api/v1/agents/${ref}${path}`, body);
        expect(answer, `${method} ${path}`).toMatchObject({ status: 404, body: { code: 'agent_not_found' } });
      }
      const answer = await server.request(method, `/api/v1/agents/%20%27${path}`, body);
      expect(answer, `${method} ${path}`).toMatchObject({ status: 422, body: { errors: [{ pointer: 'id' }] } });
    }
  });

  it('are found by key and by id in either case, wherever an id is taken', async () => {
    const agent = await makeAgent(server, { key: 'found-by.key:1' });

    for (const ref of ['found-by.key:1', agent.id, agent.id.toUpperCase()]) {
      expect((await server.get(`/api/v1/agents/${ref}`)).body.id).toBe(agent.id);
      expect((await server.post(`/api/v1/agents/${ref}/heartbeat`, {})).status).toBe(200);
    }
  });

  describe('when updated', () => {
    it('keep what is not mentioned, clear what is null, and tell what changed', async () => {
      const agent = await makeAgent(server, { description: 'before', tags: ['kept'], model: 'm', key: 'partial' });

      const renamed = await server.put(`/api/v1/agents/${agent.id}`, { name: 'Renamed', agent_type: 'renamed' });
      const cleared = await server.put(`/api/v1/agents/${agent.id}`, { description: null, key: null, model: null });

      expect(renamed.body).toMatchObject({
        name: 'Renamed',
        type: 'renamed',
        description: 'before',
        tags: ['kept'],
        model: 'm',
      });
      expect(cleared.body).toMatchObject({
        name: 'Renamed',
        description: null,
        key: null,
        model: null,
        tags: ['kept'],
      });
      expect(cleared.body.updated_at > agent.updated_at).toBe(true);
      expect((await server.events({ agent_id: agent.id })).slice(1)).toMatchObject([
        { type: 'agent_updated', data: { changes: { name: 'Renamed', agent_type: 'renamed' } } },
        { type: 'agent_updated', data: { changes: { description: null, key: null, model: null } } },
      ]);
    });

    it('leave no trace when nothing is given', async () => {
      const agent = await makeAgent(server);

      const updated = await server.put(`/api/v1/agents/${agent.id}`, {});
      const measured = await server.patch(`/api/v1/agents/${agent.id}/metrics`, { unknown: 1 });

      expect([updated.body, measured.body]).toEqual([agent, agent]);
      expect(await server.events({ agent_id: agent.id })).toHaveLength(1);
    });

    it('replace the configuration, but merge the fields that stand at the top level', async () => {
      const agent = await makeAgent(server, { configuration: { model: 'm', temperature: 1 }, tools: ['a'] });

      const merged = await server.put(`/api/v1/agents/${agent.id}`, { tools: ['b'] });
      const replaced = await server.put(`/api/v1/agents/${agent.id}`, {
        configuration: { top_p: 1 },
        capabilities: ['c'],
      });

      expect(merged.body.configuration).toEqual({ model: 'm', temperature: 1, tools: ['b'] });
      expect(replaced.body.configuration).toEqual({ top_p: 1, capabilities: ['c'] });
    });

    it('tell of free-form fields by name only', async () => {
      const agent = await makeAgent(server);

      await server.put(`/api/v1/agents/${agent.id}`, {
        metadata: { secret: 'long' },
        configuration: { secret: 'long' },
      });

      const [, updated] = await server.events({ agent_id: agent.id });
      expect(updated!.data.changes).toEqual({ configuration: true, metadata: true });
    });

    it('tell of a new status as such', async () => {
      const agent = await makeAgent(server);

      await server.put(`/api/v1/agents/${agent.id}`, { status: 'error' });

      expect((await server.events({ agent_id: agent.id })).slice(1)).toMatchObject([
        { type: 'agent_updated' },
        { type: 'agent_status_updated', data: { old_status: 'idle', new_status: 'error', status: 'error' } },
      ]);
    });

    it('refuse a name, key or project that they cannot have', async () => {
      await makeAgent(server, { name: 'Taken', type: 'taken', key: 'taken' });
      const agent = await makeAgent(server, { type: 'taken' });

      const update = (body: object) => server.put(`/api/v1/agents/${agent.id}`, body);

      expect(await update({ name: 'Taken' })).toMatchObject({ status: 409, body: { code: 'agent_exists' } });
      expect(await update({ key: 'taken' })).toMatchObject({ status: 409, body: { code: 'agent_exists' } });
      expect(await update({ project_id: UNKNOWN })).toMatchObject({
        status: 422,
        body: { errors: [{ pointer: '/project_id' }] },
      });
      expect(await update({ name: null })).toMatchObject({ status: 422, body: { errors: [{ pointer: '/name' }] } });
      expect(await update({ type: 'a', agent_type: 'b' })).toMatchObject({ status: 422 });
      expect(await read(agent)).toEqual(agent);
    });
  });

  describe('when their status is set', () => {
    it('take the current task along, and clear it with null', async () => {
      const agent = await makeAgent(server);
      const set = (body: object) => server.patch(`/api/v1/agents/${agent.id}/status`, body);

      const busy = await set({ status: 'busy', current_task_id: UNKNOWN, current_task_title: 'Write' });
      const waiting = await set({ status: 'waiting' });
      const cleared = await set({ status: 'idle', current_task_id: null });

      expect(busy.body).toMatchObject({ status: 'busy', current_task: { id: UNKNOWN, title: 'Write' } });
      expect(waiting.body).toMatchObject({ status: 'waiting', current_task: { id: UNKNOWN, title: 'Write' } });
      expect(cleared.body).toMatchObject({ status: 'idle', current_task: null, last_activity: expect.any(String) });
      expect((await server.events({ agent_id: agent.id })).slice(1)).toMatchObject([
        {
          type: 'agent_status_updated',
          data: {
            agent_id: agent.id,
            old_status: 'idle',
            new_status: 'busy',
            status: 'busy',
            current_task: { id: UNKNOWN, title: 'Write' },
          },
        },
        { type: 'agent_status_updated', data: { old_status: 'busy', new_status: 'waiting' } },
        { type: 'agent_status_updated', data: { old_status: 'waiting', new_status: 'idle', current_task: null } },
      ]);
    });

    it('do not keep the title of a task before', async () => {
      const agent = await makeAgent(server);
      const other = '01890000-0000-7000-8000-000000000001';
      await server.patch(`/api/v1/agents/${agent.id}/status`, {
        status: 'busy',
        current_task_id: UNKNOWN,
        current_task_title: 'Old',
      });

      const { body } = await server.patch(`/api/v1/agents/${agent.id}/status`, {
        status: 'busy',
        current_task_id: other,
      });

      expect(body.current_task).toEqual({ id: other, title: null });
    });

    it.each([
      ['nothing', {}, '/status'],
      ['null', { status: null }, '/status'],
      ['an unknown one', { status: 'gone' }, '/status'],
      ['a task id that is none', { status: 'busy', current_task_id: 'x' }, '/current_task_id'],
      ['a title that is too long', { status: 'busy', current_task_title: 'x'.repeat(501) }, '/current_task_title'],
    ])('refuse %s', async (_what, body, pointer) => {
      const agent = await makeAgent(server);

      const answer = await server.patch(`/api/v1/agents/${agent.id}/status`, body);

      expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
      expect(await typesOf(agent)).toEqual(['agent_created']);
    });
  });

  describe('when their metrics are set', () => {
    it('take them, compute the success rate and tell', async () => {
      const agent = await makeAgent(server);

      const { body } = await server.patch(`/api/v1/agents/${agent.id}/metrics`, {
        tasks_completed: 3,
        tasks_failed: 1,
        avg_response_time: 2.5,
        uptime_percentage: 99,
        quality_score: 8.5,
        improvement: -0.5,
        processing_time_ms: 1234.5,
        error_count: 2,
        success_rate: 1,
      });
      const partial = await server.patch(`/api/v1/agents/${agent.id}/metrics`, {
        tasks_failed: 0,
        quality_score: null,
        uptime_percentage: null,
      });

      expect(body.performance_metrics).toEqual({
        tasks_completed: 3,
        tasks_failed: 1,
        success_rate: 75,
        avg_response_time: 2.5,
        uptime_percentage: 99,
        quality_score: 8.5,
        improvement: -0.5,
        processing_time_ms: 1234.5,
        error_count: 2,
      });
      expect(partial.body.performance_metrics).toMatchObject({
        tasks_completed: 3,
        success_rate: 100,
        quality_score: null,
        uptime_percentage: 0,
      });
      expect((await server.events({ agent_id: agent.id })).slice(1)).toMatchObject([
        { type: 'agent_metrics_updated', data: { metrics: { tasks_completed: 3, success_rate: 75 } } },
        { type: 'agent_metrics_updated', data: { metrics: { tasks_failed: 0, success_rate: 100 } } },
      ]);
    });

    it.each([
      ['a negative count', { tasks_completed: -1 }, '/tasks_completed'],
      ['a fraction of a task', { tasks_failed: 0.5 }, '/tasks_failed'],
      ['a count beyond the column', { error_count: 2_147_483_648 }, '/error_count'],
      ['null for a count', { tasks_completed: null }, '/tasks_completed'],
      ['an uptime above 100', { uptime_percentage: 100.1 }, '/uptime_percentage'],
      ['a quality above 10', { quality_score: 11 }, '/quality_score'],
      ['text', { avg_response_time: '1' }, '/avg_response_time'],
    ])('refuse %s', async (_what, body, pointer) => {
      const agent = await makeAgent(server);

      const answer = await server.patch(`/api/v1/agents/${agent.id}/metrics`, body);

      expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
    });
  });

  describe('when they work', () => {
    it('have their books kept: slots, current task, counters, times and quality', async () => {
      const agent = await makeAgent(server, { max_concurrent_tasks: 5 });
      await makeTask(server, { agent_type: agent.type, title: 'Older', priority: 'high' });
      await makeTask(server, { agent_type: agent.type, title: 'Newer' });

      const [older, newer] = await lease(server, agent, { max_tasks: 2 });
      const working = await read(agent);
      await complete(server, newer!, { quality_score: 80 });
      const halfDone = await read(agent);
      await complete(server, older!, { quality_score: 30 });
      const done = await read(agent);

      expect(working).toMatchObject({
        status: 'busy',
        current_task: { id: newer!.task.id, title: 'Newer' },
        last_activity: expect.any(String),
      });
      expect(halfDone).toMatchObject({
        status: 'busy',
        current_task: { id: older!.task.id, title: 'Older' },
        performance_metrics: { tasks_completed: 1, quality_score: 8, improvement: null, success_rate: 100 },
      });
      expect(done).toMatchObject({ current_task: null, performance_metrics: { tasks_completed: 2, error_count: 0 } });
      expect(done.performance_metrics.quality_score).toBeCloseTo(7);
      expect(done.performance_metrics.improvement).toBeCloseTo(-1);
    });

    it('have the mean of their times, from lease to completion', async () => {
      const agent = await makeAgent(server);
      const work = async (seconds: number) => {
        await makeTask(server, { agent_type: agent.type });
        const [held] = await lease(server, agent);
        await server.database.query(`UPDATE tasks SET started_at = now() - make_interval(secs => $2) WHERE id = $1`, [
          held!.task.id,
          seconds,
        ]);
        await complete(server, held!);
      };

      await work(10);
      await work(20);

      const { performance_metrics } = await read(agent);
      expect(Math.round(performance_metrics.avg_response_time)).toBe(15);
      expect(Math.round(performance_metrics.processing_time_ms / 1000)).toBe(20);
    });

    it('are charged with a failure for good as failed, with one before a retry as an error only', async () => {
      const agent = await makeAgent(server);
      await makeTask(server, { agent_type: agent.type, max_attempts: 2, retry: { backoff_seconds: 0 } });

      const [first] = await lease(server, agent);
      await fail(server, first!);
      const afterOne = await read(agent);
      const [second] = await lease(server, agent);
      await fail(server, second!);
      const afterTwo = await read(agent);

      expect(afterOne.performance_metrics).toMatchObject({ tasks_failed: 0, error_count: 1 });
      expect(afterTwo.performance_metrics).toMatchObject({ tasks_failed: 1, error_count: 2, success_rate: 0 });
    });
  });

  describe('when drained', () => {
    it('get no new tasks but keep what they hold, until they are resumed', async () => {
      const agent = await makeAgent(server, { max_concurrent_tasks: 2 });
      await makeTask(server, { agent_type: agent.type });
      await makeTask(server, { agent_type: agent.type });
      const [held] = await lease(server, agent);

      const drained = await server.post(`/api/v1/agents/${agent.id}/drain`);
      const nothing = await lease(server, agent);
      const completed = await complete(server, held!);
      const resumed = await server.post(`/api/v1/agents/${agent.id}/resume`);
      const something = await lease(server, agent);

      expect(drained).toMatchObject({ status: 200, body: { is_draining: true } });
      expect(nothing).toEqual([]);
      expect(completed.status).toBe(200);
      expect(resumed).toMatchObject({ status: 200, body: { is_draining: false } });
      expect(something).toHaveLength(1);
    });

    it('tell it once, however often they are asked', async () => {
      const agent = await makeAgent(server);

      await server.post(`/api/v1/agents/${agent.id}/drain`);
      await server.post(`/api/v1/agents/${agent.id}/drain`);

      expect((await server.events({ agent_id: agent.id })).slice(1)).toMatchObject([
        { type: 'agent_updated', data: { changes: { is_draining: true } } },
      ]);
    });
  });

  describe('when deleted', () => {
    it('give back what they hold, and leave their id on what they finished', async () => {
      const agent = await makeAgent(server, { max_concurrent_tasks: 5 });
      await makeTask(server, { agent_type: agent.type });
      const [finished] = await lease(server, agent);
      await complete(server, finished!);
      const { id: held_id } = await makeTask(server, { agent_type: agent.type });
      const [held] = await lease(server, agent);

      const deleted = await server.delete(`/api/v1/agents/${agent.id}`);

      expect(deleted).toMatchObject({ status: 204, body: '' });
      expect((await server.get(`/api/v1/agents/${agent.id}`)).status).toBe(404);
      expect((await server.get(`/api/v1/tasks/${held_id}`)).body).toMatchObject({
        status: 'pending',
        assigned_agent_id: null,
        attempt: 0,
        ready_at: expect.any(String),
      });
      expect((await server.get(`/api/v1/tasks/${finished!.task.id}`)).body).toMatchObject({
        status: 'completed',
        assigned_agent_id: agent.id,
        assigned_agent: { id: agent.id, name: null },
      });
      expect(await complete(server, held!)).toMatchObject({ status: 409, body: { code: 'lease_lost' } });
      expect(await typesOf(agent)).toContain('agent_deleted');
    });

    it('leave what was meant for them alone to anyone, and tell', async () => {
      const agent = await makeAgent(server, { max_concurrent_tasks: 5 });
      const waiting = await makeTask(server, { assigned_agent_id: agent.id, agent_type: agent.type });
      const [held] = await lease(server, agent);
      const pending = await makeTask(server, { assigned_agent_id: agent.id, agent_type: agent.type });
      const blocked = await makeTask(server, { assigned_agent_id: agent.id, dependencies: [pending.id] });
      const other = await makeAgent(server, { type: agent.type, max_concurrent_tasks: 5 });

      await server.delete(`/api/v1/agents/${agent.id}`);
      const taken = await lease(server, other, { max_tasks: 5 });

      expect(held!.task.id).toBe(waiting.id);
      expect(new Set(taken.map(({ task }) => task.id))).toEqual(new Set([waiting.id, pending.id]));
      expect((await server.get(`/api/v1/tasks/${blocked.id}`)).body).toMatchObject({ assigned_agent_id: null });
      expect((await server.events({ task_id: pending.id })).map(({ type }) => type)).toContain('task_assigned');
    });

    it('do not keep what they failed from being retried by others', async () => {
      const agent = await makeAgent(server);
      const task = await makeTask(server, { assigned_agent_id: agent.id, agent_type: agent.type });
      const [held] = await lease(server, agent);
      await fail(server, held!, { retryable: false });
      const other = await makeAgent(server, { type: agent.type });

      await server.delete(`/api/v1/agents/${agent.id}`);
      await server.post(`/api/v1/tasks/${task.id}/retry`);

      expect(await lease(server, other)).toMatchObject([{ task: { id: task.id } }]);
    });
  });

  describe('in a list', () => {
    it('are filtered by each of their filters', async () => {
      const { id: project_id } = await makeProject(server);
      const base = { project_id };
      await makeAgent(server, { ...base, name: 'Filter A', type: 'fa', tags: ['red', 'blue'], status: 'offline' });
      await makeAgent(server, { ...base, name: 'Filter B', type: 'fb', tags: ['green'], status: 'busy' });
      await makeAgent(server, { ...base, name: 'filter c_', type: 'fb' });
      const names = async (query: string) =>
        (await server.get(`/api/v1/agents?project_id=${project_id}&sort_by=name&sort_order=asc&${query}`)).body.map(
          ({ name }: { name: string }) => name.toLowerCase(),
        );

      expect(await names('')).toHaveLength(3);
      expect(await names('status=busy')).toEqual(['filter b']);
      expect(await names('type=fa')).toEqual(['filter a']);
      expect((await names('agent_type=fb')).sort()).toEqual(['filter b', 'filter c_']);
      expect(await names('is_active=false')).toEqual(['filter a']);
      expect((await names('is_active=true')).sort()).toEqual(['filter b', 'filter c_']);
      expect((await names('tags=blue,green')).sort()).toEqual(['filter a', 'filter b']);
      expect(await names('search=TER%20C_')).toEqual(['filter c_']);
      expect(await names('search=%25')).toEqual([]);
    });

    it('are sorted as asked, newest first by default', async () => {
      const { id: project_id } = await makeProject(server);
      const first = await makeAgent(server, { project_id, name: 'Zoe', status: 'active' });
      const second = await makeAgent(server, { project_id, name: 'Abe', status: 'waiting' });
      await server.patch(`/api/v1/agents/${first.id}/metrics`, { error_count: 1 });
      const ids = async (query: string) =>
        (await server.get(`/api/v1/agents?project_id=${project_id}&${query}`)).body.map(({ id }: { id: string }) => id);

      expect(await ids('')).toEqual([second.id, first.id]);
      expect(await ids('sort_order=asc')).toEqual([first.id, second.id]);
      expect(await ids('sort_by=name&sort_order=asc')).toEqual([second.id, first.id]);
      expect(await ids('sort_by=status&sort_order=asc')).toEqual([first.id, second.id]);
      expect(await ids('sort_by=updated_at')).toEqual([first.id, second.id]);
    });

    it('come in pages, as an array with headers or in an envelope', async () => {
      const { id: project_id } = await makeProject(server);
      for (const name of ['P1', 'P2', 'P3']) await makeAgent(server, { project_id, name });

      const versioned = await server.get(`/api/v1/agents?project_id=${project_id}&limit=2`);
      const unversioned = await server.get(`/api/agents?project_id=${project_id}&limit=2&skip=1`);
      const rest = await server.get(
        `/api/v1/agents?project_id=${project_id}&limit=2&cursor=${String(versioned.headers['x-next-cursor'])}`,
      );

      expect(versioned.body.map(({ name }: { name: string }) => name)).toEqual(['P3', 'P2']);
      expect(versioned.headers).toMatchObject({ 'x-total-count': '3', 'x-page-size': '2', 'x-total-pages': '2' });
      expect(unversioned.body).toMatchObject({
        items: [{ name: 'P2' }, { name: 'P1' }],
        total: 3,
        skip: 1,
        limit: 2,
        next_cursor: null,
      });
      expect(rest.body).toMatchObject([{ name: 'P1' }]);
    });

    it.each([
      'status=gone',
      'is_active=maybe',
      'sort_by=secret',
      'limit=0',
      'limit=1001',
      'skip=-1',
      'project_id=x',
      'cursor=x',
      'search=',
    ])('refuse %s', async (query) => {
      expect((await server.get(`/api/v1/agents?${query}`)).status).toBe(422);
    });
  });
});

describe('the summary of agents', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it('counts them and averages what they did', async () => {
    const empty = await server.get('/api/v1/agents/stats/summary');
    await makeAgent(server, { status: 'offline' });
    const good = await makeAgent(server);
    const poor = await makeAgent(server, { status: 'busy' });
    const metrics = { tasks_completed: 1, tasks_failed: 0, avg_response_time: 1, uptime_percentage: 90 };
    await server.patch(`/api/v1/agents/${good.id}/metrics`, metrics);
    await server.patch(`/api/v1/agents/${poor.id}/metrics`, {
      ...metrics,
      tasks_failed: 1,
      avg_response_time: 4,
      uptime_percentage: 60,
    });

    const { status, body } = await server.get('/api/v1/agents/stats/summary');

    expect(empty.body).toMatchObject({ total: 0, avg_success_rate: 0, avg_response_time: 0, avg_uptime: 0 });
    expect(status).toBe(200);
    expect(body).toEqual({
      total: 3,
      by_status: { active: 0, idle: 1, busy: 1, waiting: 0, offline: 1, error: 0 },
      avg_success_rate: 75,
      avg_response_time: 2.5,
      avg_uptime: 50,
    });
  });
});
