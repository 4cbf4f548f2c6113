import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, fail, lease, makeAgent, makeProject, makeTask, makeWorkflow } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';

describe('tasks', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  const typesOf = async (task: { id: string }) => (await server.events({ task_id: task.id })).map(({ type }) => type);
  const read = async (task: { id: string }) => (await server.get(`/api/v1/tasks/${task.id}`)).body;

  describe('when created', () => {
    it('have their defaults, and leave a trace', async () => {
      const { status, body, headers } = await server.post('/api/v1/tasks', { title: 'Write the report' });

      expect(status).toBe(201);
      expect(headers.location).toBe(`/api/v1/tasks/${body.id}`);
      expect(body).toEqual({
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        project_id: null,
        workflow_id: null,
        run_id: null,
        step_key: null,
        item_index: null,
        title: 'Write the report',
        name: 'Write the report',
        description: null,
        instructions: null,
        task_type: null,
        status: 'pending',
        priority: 'medium',
        agent_type: null,
        assigned_agent_id: null,
        assigned_agent: null,
        required_capabilities: [],
        input: {},
        output: null,
        error: null,
        tags: [],
        metadata: {},
        dependencies: [],
        dependents: [],
        attempt: 0,
        max_attempts: 3,
        retry: { backoff_seconds: 1, factor: 2, max_seconds: 300, jitter: true },
        timeout_seconds: null,
        ready_at: expect.stringMatching(/Z$/),
        scheduled_at: null,
        progress_percentage: 0,
        progress: 0,
        subtasks_completed: 0,
        subtasks_total: 0,
        time_tracking: {
          estimated_duration_minutes: null,
          actual_duration_minutes: null,
          started_at: null,
          completed_at: null,
        },
        quality_score: null,
        complexity_score: null,
        effort_points: null,
        due_date: null,
        is_blocked: false,
        is_urgent: false,
        requires_review: false,
        cancel_requested: false,
        created_by: null,
        started_at: null,
        completed_at: null,
        created_at: expect.stringMatching(/Z$/),
        updated_at: body.created_at,
      });
      expect(await server.events({ task_id: body.id })).toMatchObject([
        {
          type: 'task_created',
          source: 'user',
          data: { task_id: body.id, title: 'Write the report', old_status: null, new_status: 'pending' },
          metadata: { request_id: headers['x-request-id'] },
        },
      ]);
    });

    it('keep every field that is given, and answer alike in every version', async () => {
      const project = await makeProject(server);
      const agent = await makeAgent(server, { key: 'tasks_agent' });
      const fields = {
        project_id: project.id,
        title: 'Everything',
        description: 'd',
        instructions: 'i',
        task_type: 'research',
        priority: 'high',
        agent_type: agent.type,
        required_capabilities: ['python', 'sql'],
        input: { z: 1, a: [{ deep: null }], '': 'empty', 'a.b': 2 },
        tags: ['t1', 't2'],
        metadata: { any: ['thing'] },
        max_attempts: 100,
        retry: { backoff_seconds: 0.5, factor: 3, max_seconds: 10, jitter: false },
        timeout_seconds: 86_400,
        scheduled_at: '2999-01-01T00:00:00.000Z',
        subtasks_completed: 1,
        subtasks_total: 4,
        complexity_score: 10,
        effort_points: 0.5,
        quality_score: 50,
        due_date: '2030-06-01T10:00:00.000Z',
        is_urgent: true,
        requires_review: true,
        created_by: 'ada',
      };

      const { status, body } = await server.post('/api/v2/tasks', {
        ...fields,
        assigned_agent_id: 'tasks_agent',
        estimated_duration_minutes: 90,
      });

      expect(status).toBe(201);
      expect(body).toMatchObject({
        ...fields,
        ready_at: fields.scheduled_at,
        assigned_agent_id: agent.id,
        assigned_agent: { id: agent.id, name: agent.name },
        time_tracking: { estimated_duration_minutes: 90 },
      });
      for (const base of ['/api/v1', '/api/v2', '/api']) {
        expect((await server.get(`${base}/tasks/${body.id.toUpperCase()}/`)).body).toEqual(body);
      }
    });

    it('look the same when they are read and when they were changed, also when they have ended', async () => {
      const agent = await makeAgent(server);
      const { id } = await makeTask(server, {
        agent_type: 'reader',
        assigned_agent_id: agent.id,
        priority: 'critical',
      });
      const [held] = await lease(server, agent);
      const completed = await complete(server, held!, { output: { deep: ['ü', 1.5, null] }, quality_score: 75 });

      const alone = await server.get(`/api/v1/tasks/${id}`);
      const listed = await server.get(`/api/v1/tasks?agent_type=reader`);
      const enveloped = await server.get(`/api/tasks?agent_type=reader`);

      expect(completed.body).toMatchObject({ id, status: 'completed', completed_at: expect.any(String) });
      expect(alone.headers['content-type']).toBe(completed.headers['content-type']);
      expect(JSON.stringify(alone.body)).toBe(JSON.stringify(completed.body));
      expect(JSON.stringify(listed.body)).toBe(JSON.stringify([completed.body]));
      expect(JSON.stringify(enveloped.body)).toBe(
        JSON.stringify({ items: [completed.body], total: 1, skip: 0, limit: 50, next_cursor: null }),
      );
    });

    it('take title or name, but not two different ones', async () => {
      const named = await server.post('/api/v1/tasks', { name: 'By name' });
      const both = await server.post('/api/v1/tasks', { title: 'Same', name: 'Same' });
      const different = await server.post('/api/v1/tasks', { title: 'One', name: 'Other' });

      expect(named.body).toMatchObject({ title: 'By name', name: 'By name' });
      expect(both.status).toBe(201);
      expect(different).toMatchObject({ status: 422, body: { errors: [{ pointer: '/name' }] } });
    });

    it('take the agent as agent_id too, but not two different ones', async () => {
      const agent = await makeAgent(server);

      const aliased = await server.post('/api/v1/tasks', { title: 'x', agent_id: agent.id });
      const different = await server.post('/api/v1/tasks', { title: 'x', agent_id: agent.id, assigned_agent_id: null });

      expect(aliased.body).toMatchObject({ assigned_agent_id: agent.id });
      expect(different).toMatchObject({ status: 422, body: { errors: [{ pointer: '/agent_id' }] } });
    });

    it('take the priorities of older clients', async () => {
      const normal = await makeTask(server, { priority: 'normal' });
      const urgent = await makeTask(server, { priority: 'urgent' });

      expect([normal.priority, urgent.priority]).toEqual(['medium', 'critical']);
    });

    it('have the rest of a retry policy by default', async () => {
      const task = await makeTask(server, { retry: { factor: 5 } });

      expect(task.retry).toEqual({ backoff_seconds: 1, factor: 5, max_seconds: 300, jitter: true });
    });

    it.each([
      ['agent', { assigned_agent_id: UNKNOWN }, '/assigned_agent_id'],
      ['agent by key', { assigned_agent_id: 'nobody' }, '/assigned_agent_id'],
      ['agent under its other name', { agent_id: 'nobody' }, '/agent_id'],
      ['project', { project_id: UNKNOWN }, '/project_id'],
      ['workflow', { workflow_id: UNKNOWN }, '/workflow_id'],
      ['dependency', { dependencies: [UNKNOWN] }, '/dependencies/0'],
    ])('name the %s that does not exist', async (_what, fields, pointer) => {
      const answer = await server.post('/api/v1/tasks', { title: 'Lost', ...fields });

      expect(answer).toMatchObject({ status: 422, body: { code: 'unknown_reference', errors: [{ pointer }] } });
      expect((await server.get('/api/v1/tasks?search=Lost')).body).toEqual([]);
    });

    it('name the unknown dependency among known ones', async () => {
      const known = await makeTask(server);

      const answer = await server.post('/api/v1/tasks', { title: 'x', dependencies: [known.id, known.id, UNKNOWN] });

      expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: '/dependencies/2' }] } });
    });

    it.each([
      ['no title', { title: undefined }, '/title'],
      ['an empty title', { title: '' }, '/title'],
      ['a blank title', { title: '  ' }, '/title'],
      ['a title that is too long', { title: 'x'.repeat(501) }, '/title'],
      ['null for a title', { title: null }, '/title'],
      ['a title of another type', { title: {} }, '/title'],
      ['U+0000 in a title', { title: 'a\u0000' }, '/title'],
      ['an unknown priority', { priority: 'asap' }, '/priority'],
      ['a priority named like a method', { priority: 'toString' }, '/priority'],
      ['null for a priority', { priority: null }, '/priority'],
      ['no attempt', { max_attempts: 0 }, '/max_attempts'],
      ['too many attempts', { max_attempts: 101 }, '/max_attempts'],
      ['no time', { timeout_seconds: 0 }, '/timeout_seconds'],
      ['more than a day', { timeout_seconds: 86_401 }, '/timeout_seconds'],
      ['a negative back-off', { retry: { backoff_seconds: -1 } }, '/retry/backoff_seconds'],
      ['a factor below 1', { retry: { factor: 0.5 } }, '/retry/factor'],
      ['a retry policy that is a list', { retry: [] }, '/retry'],
      ['null for a retry policy', { retry: null }, '/retry'],
      ['a complexity of 0', { complexity_score: 0 }, '/complexity_score'],
      ['a complexity of 11', { complexity_score: 11 }, '/complexity_score'],
      ['more subtasks done than there are', { subtasks_completed: 3, subtasks_total: 2 }, '/subtasks_completed'],
      ['subtasks done where there are none', { subtasks_completed: 1 }, '/subtasks_completed'],
      ['no effort', { effort_points: 0 }, '/effort_points'],
      ['a quality of 101', { quality_score: 101 }, '/quality_score'],
      ['a date that is none', { due_date: 'soon' }, '/due_date'],
      ['words that JavaScript takes for a date', { due_date: 'hello 7' }, '/due_date'],
      ['a time without an offset', { scheduled_at: '2030-01-01T00:00:00' }, '/scheduled_at'],
      ['a day that does not exist', { scheduled_at: '2026-02-30T00:00:00Z' }, '/scheduled_at'],
      ['a year that the database does not know', { due_date: '+275760-01-01T00:00:00Z' }, '/due_date'],
      ['a year before Christ', { scheduled_at: '-000044-03-15T00:00:00Z' }, '/scheduled_at'],
      ['a time as number', { scheduled_at: 5 }, '/scheduled_at'],
      ['input that is a list', { input: [] }, '/input'],
      ['null for input', { input: null }, '/input'],
      ['a capability that is no text', { required_capabilities: [1] }, '/required_capabilities'],
      ['a flag as text', { is_urgent: 'true' }, '/is_urgent'],
      ['a dependency that is no id', { dependencies: ['x'] }, '/dependencies'],
      ['too many dependencies', { dependencies: Array.from({ length: 1001 }, () => UNKNOWN) }, '/dependencies'],
      ['an agent that can be neither id nor key', { assigned_agent_id: 'a b' }, '/assigned_agent_id'],
      ['a negative estimate', { estimated_duration_minutes: -1 }, '/estimated_duration_minutes'],
    ])('refuse %s', async (_what, fields, pointer) => {
      const answer = await server.post('/api/v1/tasks', { title: 'Refused', ...fields });

      expect(answer.status).toBe(422);
      expect(answer.body).toMatchObject({ code: 'invalid_input', errors: [{ pointer }] });
    });

    it('say what effort is too small', async () => {
      const { body } = await server.post('/api/v1/tasks', { title: 'Refused', effort_points: 0 });

      expect(body.errors).toEqual([{ pointer: '/effort_points', detail: 'must be greater than 0' }]);
    });

    it('take times with any offset', async () => {
      const { due_date } = await makeTask(server, { due_date: '2026-02-28T23:30:00.5-01:00' });

      expect(due_date).toBe('2026-03-01T00:30:00.500Z');
    });

    it('drop fields that nobody knows, and those that are not the client’s to write', async () => {
      const task = await makeTask(server, {
        status: 'completed',
        attempt: 9,
        progress_percentage: 50,
        lease_token: UNKNOWN,
        nonsense: 1,
      });

      expect(task).toMatchObject({ status: 'pending', attempt: 0, progress_percentage: 0 });
    });

    it('return free-form JSON as it came', async () => {
      const input = {
        z: 1,
        a: { b: [[], {}, null, 1.5, 'ü"\\'] },
        toString: 1,
        valueOf: 2,
        length: 3,
        0: 'zero',
        '': '',
      };

      const { id } = await makeTask(server, { input, metadata: input });

      const task = await read({ id });
      expect(JSON.stringify(task.input)).toBe(JSON.stringify(input));
      expect(task.metadata).toEqual(input);
    });

    it('survive fifty at once', async () => {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          server.post('/api/v1/tasks', { title: `Flood ${index}`, task_type: 'flood' }),
        ),
      );

      expect(answers.filter(({ status }) => status === 201)).toHaveLength(50);
      expect((await server.get('/api/tasks?task_type=flood')).body.total).toBe(50);
    });
  });

  it('answer 404 for an unknown id and 422 for a malformed one, whatever the route', async () => {
    const lease_token = UNKNOWN;
    const routes = [
      ['GET', '', undefined],
      ['PUT', '', { title: 'x' }],
      ['DELETE', '', undefined],
      ['PATCH', '/status', { status: 'completed' }],
      ['PATCH', '/progress', { progress_percentage: 1 }],
      ['PATCH', '/assign', { assigned_agent_id: null }],
      ['POST', '/dependencies', { dependency_id: UNKNOWN }],
      ['DELETE', `/dependencies/${UNKNOWN}`, undefined],
      ['POST', '/cancel', undefined],
      ['POST', '/retry', undefined],
      ['GET', '/events', undefined],
      ['POST', '/lease/heartbeat', { lease_token }],
      ['POST', '/lease/complete', { lease_token }],
      ['POST', '/lease/fail', { lease_token, error: { message: 'x' } }],
      ['POST', '/lease/release', { lease_token }],
    ] as const;

    for (const [method, path, body] of routes) {
      const unknown = await server.request(method, `/api/v1/tasks/${UNKNOWN}${path}`, body);
      const malformed = await server.request(method, `/api/v1/tasks/nonsense${path}`, body);
      expect(unknown, `${method} ${path}`).toMatchObject({ status: 404, body: { code: 'task_not_found' } });
      expect(malformed, `${method} ${path}`).toMatchObject({ status: 422, body: { errors: [{ pointer: 'id' }] } });
    }
  });

  describe('when updated', () => {
    it('keep what is not mentioned, clear what is null, and tell what changed', async () => {
      const task = await makeTask(server, { description: 'before', tags: ['kept'], due_date: '2030-01-01T00:00:00Z' });

      const renamed = await server.put(`/api/v1/tasks/${task.id}`, {
        name: 'After',
        priority: 'urgent',
        retry: { factor: 4 },
      });
      const cleared = await server.put(`/api/v1/tasks/${task.id}`, { description: null, due_date: null });

      expect(renamed.body).toMatchObject({
        title: 'After',
        description: 'before',
        tags: ['kept'],
        priority: 'critical',
        retry: { backoff_seconds: 1, factor: 4 },
      });
      expect(cleared.body).toMatchObject({ title: 'After', description: null, due_date: null, tags: ['kept'] });
      expect((await server.events({ task_id: task.id })).slice(1)).toMatchObject([
        {
          type: 'task_updated',
          data: { changes: { name: 'After', priority: 'critical' }, old_status: 'pending', new_status: 'pending' },
        },
        { type: 'task_updated', data: { changes: { description: null, due_date: null } } },
      ]);
    });

    it('tell of free-form fields and long texts by name only', async () => {
      const task = await makeTask(server);

      await server.put(`/api/v1/tasks/${task.id}`, {
        input: { secret: 1 },
        metadata: { secret: 1 },
        description: 'secret',
      });

      const [, updated] = await server.events({ task_id: task.id });
      expect(updated!.data.changes).toEqual({ input: true, metadata: true, description: true });
    });

    it('take another agent, and tell', async () => {
      const agent = await makeAgent(server, { key: 'put-agent' });
      const task = await makeTask(server);

      const { body } = await server.put(`/api/v1/tasks/${task.id}`, { agent_id: 'put-agent' });

      expect(body).toMatchObject({ assigned_agent_id: agent.id });
      expect(await typesOf(task)).toEqual(['task_created', 'task_updated', 'task_assigned']);
    });

    it('may be sent back as they came', async () => {
      const [first, second] = [await makeTask(server), await makeTask(server)];
      const task = await makeTask(server, { dependencies: [first.id, second.id] });

      const same = await server.put(`/api/v1/tasks/${task.id}`, {
        ...task,
        dependencies: [second.id, first.id],
        description: 'New',
      });
      const fewer = await server.put(`/api/v1/tasks/${task.id}`, { dependencies: [first.id] });

      expect(same).toMatchObject({ status: 200, body: { description: 'New', dependencies: task.dependencies } });
      expect(fewer.body).toMatchObject({
        status: 422,
        errors: [{ pointer: '/dependencies', detail: expect.stringContaining('/tasks/{id}/dependencies') }],
      });
    });

    it('leave no trace when nothing is given', async () => {
      const task = await makeTask(server);

      const { status, body } = await server.put(`/api/v1/tasks/${task.id}`, { unknown: 1 });

      expect([status, body]).toEqual([200, task]);
      expect(await typesOf(task)).toEqual(['task_created']);
    });

    it('say how many of their subtasks are done', async () => {
      const task = await makeTask(server, { subtasks_completed: 1, subtasks_total: 3 });

      const changed = await server.put(`/api/v1/tasks/${task.id}`, { subtasks_completed: 3 });
      const more = await server.put(`/api/v1/tasks/${task.id}`, { subtasks_completed: 4, subtasks_total: 5 });

      expect(changed.body).toMatchObject({ subtasks_completed: 3, subtasks_total: 3 });
      expect(more.body).toMatchObject({ subtasks_completed: 4, subtasks_total: 5 });
    });

    it('are ready at another time when they are scheduled anew', async () => {
      const task = await makeTask(server, { scheduled_at: '2999-01-01T00:00:00Z' });

      const sooner = await server.put(`/api/v1/tasks/${task.id}`, { scheduled_at: '2998-01-01T00:00:00Z' });
      const now = await server.put(`/api/v1/tasks/${task.id}`, { scheduled_at: null });

      expect(sooner.body.ready_at).toBe('2998-01-01T00:00:00.000Z');
      expect(Date.parse(now.body.ready_at)).toBeLessThanOrEqual(Date.parse(now.body.updated_at));
    });

    it.each([
      ['null for a title', { title: null }, '/title'],
      ['an unknown agent', { agent_id: UNKNOWN }, '/agent_id'],
      ['an unknown project', { project_id: UNKNOWN }, '/project_id'],
      ['fewer subtasks than are done', { subtasks_total: 1 }, '/subtasks_total'],
      ['more subtasks done than there are', { subtasks_completed: 4 }, '/subtasks_completed'],
      ['two titles', { title: 'a', name: 'b' }, '/name'],
      ['other dependencies', { dependencies: [UNKNOWN] }, '/dependencies'],
    ])('refuse %s', async (_what, body, pointer) => {
      const task = await makeTask(server, { subtasks_total: 3 });
      await server.patch(`/api/v1/tasks/${task.id}/progress`, { progress_percentage: 10, subtasks_completed: 2 });

      const answer = await server.put(`/api/v1/tasks/${task.id}`, body);

      expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
      expect(await typesOf(task)).toEqual(['task_created', 'task_progress_updated']);
    });
  });

  describe('when updated in bulk', () => {
    const bulk = (body: unknown) => server.patch('/api/v1/tasks/bulk', body);

    it('change together, in the order in which they were named', async () => {
      const [a, b] = [await makeTask(server), await makeTask(server)];

      const { status, body } = await bulk({
        task_ids: [b.id, a.id, b.id],
        updates: { priority: 'urgent', tags: ['bulk'] },
      });

      expect(status).toBe(200);
      expect(body).toMatchObject({
        updated: 2,
        tasks: [
          { id: b.id, priority: 'critical' },
          { id: a.id, tags: ['bulk'] },
        ],
      });
      expect(await typesOf(a)).toEqual(['task_created', 'task_updated']);
      const [event] = await server.database.query<{ data: object }>(
        `SELECT data FROM events WHERE type = 'tasks_bulk_updated' ORDER BY seq DESC LIMIT 1`,
      );
      expect(event!.data).toMatchObject({ task_ids: [b.id, a.id], changes: { priority: 'critical', tags: ['bulk'] } });
    });

    it('move together', async () => {
      const [a, b] = [await makeTask(server), await makeTask(server)];

      await bulk({ task_ids: [a.id, b.id], updates: { status: 'cancelled' } });

      expect([(await read(a)).status, (await read(b)).status]).toEqual(['cancelled', 'cancelled']);
      expect(await typesOf(a)).toContain('task_cancelled');
    });

    it('all stay as they are when one of them does not exist', async () => {
      const task = await makeTask(server, { priority: 'low' });

      const answer = await bulk({ task_ids: [task.id, UNKNOWN], updates: { priority: 'high' } });

      expect(answer).toMatchObject({
        status: 422,
        body: { code: 'unknown_reference', errors: [{ pointer: '/task_ids/1' }] },
      });
      expect(await read(task)).toEqual(task);
      expect(await typesOf(task)).toEqual(['task_created']);
    });

    it('all stay as they are when one of them may not move', async () => {
      const pending = await makeTask(server);
      const completed = await makeTask(server);
      await server.patch(`/api/v1/tasks/${completed.id}/status`, { status: 'completed' });

      const answer = await bulk({ task_ids: [pending.id, completed.id], updates: { status: 'in_progress' } });

      expect(answer).toMatchObject({ status: 409, body: { code: 'task_move_refused' } });
      expect((await read(pending)).status).toBe('pending');
    });

    it('may be a thousand', async () => {
      const rows = await server.database.query<{ id: string }>(
        `INSERT INTO tasks (id, created_at, updated_at, title, status, priority, assignment_is_fixed, required_capabilities,
           input, tags, metadata, unmet_dependencies, has_dependents, is_held, attempt, max_attempts, retry,
           progress_percentage, subtasks_completed, subtasks_total, is_urgent, requires_review, cancel_requested)
         SELECT gen_random_uuid(), now(), now(), 'Bulk', 'pending', 'low', false, '{}', '{}', '{}', '{}', 0, false, false,
           0, 3, '{}', 0, 0, 0, false, false, false FROM generate_series(1, 1000) RETURNING id`,
      );

      const { status, body } = await bulk({ task_ids: rows.map(({ id }) => id), updates: { priority: 'high' } });

      expect(status).toBe(200);
      expect(body.updated).toBe(1000);
      expect((await server.get('/api/tasks?search=Bulk&priority=high&limit=1')).body.total).toBe(1000);
    });

    it.each([
      ['an unknown agent', { assigned_agent_id: UNKNOWN }, '/updates/assigned_agent_id'],
      ['an unknown agent under its other name', { agent_id: UNKNOWN }, '/updates/agent_id'],
      ['an unknown project', { project_id: UNKNOWN }, '/updates/project_id'],
      ['two titles', { title: 'a', name: 'b' }, '/updates/name'],
      ['other dependencies', { dependencies: [UNKNOWN] }, '/updates/dependencies'],
      ['more subtasks done than there are', { subtasks_completed: 4 }, '/updates/subtasks_completed'],
      ['fewer subtasks than are done', { subtasks_total: 1 }, '/updates/subtasks_total'],
    ])('refuse %s for all, and name its place in the body', async (_what, updates, pointer) => {
      const task = await makeTask(server, { subtasks_completed: 2, subtasks_total: 3 });

      const answer = await bulk({ task_ids: [task.id], updates });

      expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
      expect(await read(task)).toEqual(task);
    });

    it('say how many of their subtasks are done', async () => {
      const task = await makeTask(server, { subtasks_total: 3 });

      const { body } = await bulk({ task_ids: [task.id], updates: { subtasks_completed: 3 } });

      expect(body.tasks).toMatchObject([{ subtasks_completed: 3, subtasks_total: 3 }]);
    });

    it.each([
      ['no task', { task_ids: [], updates: {} }, '/task_ids'],
      ['more than a thousand', { task_ids: Array.from({ length: 1001 }, () => UNKNOWN), updates: {} }, '/task_ids'],
      ['an id that is none', { task_ids: ['x'], updates: {} }, '/task_ids'],
      ['no list', { task_ids: UNKNOWN, updates: {} }, '/task_ids'],
      ['no updates', { task_ids: [UNKNOWN] }, '/updates'],
      ['null for updates', { task_ids: [UNKNOWN], updates: null }, '/updates'],
      ['a list of updates', { task_ids: [UNKNOWN], updates: [] }, '/updates'],
      ['an update that is wrong', { task_ids: [UNKNOWN], updates: { max_attempts: 0 } }, '/updates/max_attempts'],
      ['an unknown status', { task_ids: [UNKNOWN], updates: { status: 'gone' } }, '/updates/status'],
      ['a date that is none', { task_ids: [UNKNOWN], updates: { due_date: '01/02/2026' } }, '/updates/due_date'],
    ])('refuse %s', async (_what, body, pointer) => {
      expect(await bulk(body)).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
    });
  });

  describe('when deleted', () => {
    it('are gone; their events stay', async () => {
      const task = await makeTask(server);

      const { status } = await server.delete(`/api/v1/tasks/${task.id}`);

      expect(status).toBe(204);
      expect((await server.get(`/api/v1/tasks/${task.id}`)).status).toBe(404);
      expect(await typesOf(task)).toEqual(['task_created', 'task_deleted']);
    });

    it('stay while they are in progress', async () => {
      const { id: project_id } = await makeProject(server);
      const agent = await makeAgent(server, { project_id });
      const task = await makeTask(server, { project_id });
      const [held] = await lease(server, agent);

      const refused = await server.delete(`/api/v1/tasks/${task.id}`);
      await complete(server, held!);
      const deleted = await server.delete(`/api/v1/tasks/${task.id}`);

      expect(refused).toMatchObject({ status: 409, body: { code: 'task_in_progress' } });
      expect(deleted.status).toBe(204);
    });
  });

  describe('in a list', () => {
    it('are filtered by each of their filters', async () => {
      const { id: project_id } = await makeProject(server);
      const { id: workflow_id } = await makeWorkflow(server, { project_id });
      const agent = await makeAgent(server, { key: 'list-agent' });
      const dependency = await makeTask(server);
      const a = await makeTask(server, {
        project_id,
        title: 'List A',
        priority: 'urgent',
        task_type: 'ta',
        tags: ['red', 'blue'],
      });
      const b = await makeTask(server, {
        project_id,
        title: 'List B',
        assigned_agent_id: agent.id,
        is_urgent: true,
        tags: ['green'],
      });
      const c = await makeTask(server, {
        project_id,
        title: '50%_c',
        agent_type: 'list-type',
        dependencies: [dependency.id],
      });
      const d = await makeTask(server, { project_id, title: 'List D', workflow_id });
      await server.post(`/api/v1/tasks/${d.id}/cancel`);
      const ids = async (query: string) =>
        (await server.get(`/api/v1/tasks?project_id=${project_id}&sort_order=asc&${query}`)).body.map(
          ({ id }: { id: string }) => id,
        );

      expect(await ids('')).toEqual([a.id, b.id, c.id, d.id]);
      expect(await ids('status=cancelled')).toEqual([d.id]);
      expect(await ids('priority=urgent')).toEqual([a.id]);
      expect(await ids('priority=normal')).toEqual([b.id, c.id, d.id]);
      expect(await ids(`assigned_agent_id=${agent.id}`)).toEqual([b.id]);
      expect(await ids('assigned_agent_id=list-agent')).toEqual([b.id]);
      expect(await ids('assigned_agent_id=nobody')).toEqual([]);
      expect(await ids('agent_type=list-type')).toEqual([c.id]);
      expect(await ids(`workflow_id=${workflow_id}`)).toEqual([d.id]);
      expect(await ids(`run_id=${UNKNOWN}`)).toEqual([]);
      expect(await ids('task_type=ta')).toEqual([a.id]);
      expect(await ids('is_blocked=true')).toEqual([c.id]);
      expect(await ids('is_blocked=false&is_urgent=false')).toEqual([a.id, d.id]);
      expect(await ids('is_urgent=true')).toEqual([b.id]);
      expect(await ids('tags=blue,green')).toEqual([a.id, b.id]);
      expect(await ids('search=list%20')).toEqual([a.id, b.id, d.id]);
      expect(await ids('search=%25_')).toEqual([c.id]);
    });

    it('are sorted as asked, newest first by default', async () => {
      const { id: project_id } = await makeProject(server);
      const low = await makeTask(server, { project_id, priority: 'low', due_date: '2030-01-02T00:00:00Z' });
      const critical = await makeTask(server, { project_id, priority: 'critical' });
      const high = await makeTask(server, { project_id, priority: 'high', due_date: '2030-01-01T00:00:00Z' });
      await server.put(`/api/v1/tasks/${low.id}`, { tags: ['touched'] });
      const ids = async (query: string) =>
        (await server.get(`/api/v1/tasks?project_id=${project_id}&${query}`)).body.map(({ id }: { id: string }) => id);

      expect(await ids('')).toEqual([high.id, critical.id, low.id]);
      expect(await ids('sort_by=created_at&sort_order=asc')).toEqual([low.id, critical.id, high.id]);
      expect(await ids('sort_by=priority')).toEqual([critical.id, high.id, low.id]);
      expect(await ids('sort_by=due_date')).toEqual([low.id, high.id, critical.id]);
      expect(await ids('sort_by=due_date&sort_order=asc')).toEqual([critical.id, high.id, low.id]);
      expect(await ids('sort_by=updated_at')).toEqual([low.id, high.id, critical.id]);
    });

    it.each(['created_at', 'priority', 'due_date', 'updated_at'])(
      'come whole in pages by cursor, sorted by %s',
      async (sort_by) => {
        const { id: project_id } = await makeProject(server);
        const made: string[] = [];
        for (const [index, priority] of ['low', 'high', 'low', 'medium', 'high'].entries()) {
          const due_date = index % 2 ? { due_date: `2030-01-0${index}T00:00:00Z` } : {};
          made.push((await makeTask(server, { project_id, priority, ...due_date })).id);
        }

        for (const sort_order of ['asc', 'desc']) {
          const query = `project_id=${project_id}&sort_by=${sort_by}&sort_order=${sort_order}`;
          const whole = (await server.get(`/api/v1/tasks?${query}`)).body.map(({ id }: { id: string }) => id);
          const versioned: string[] = [];
          for (
            let cursor: string | undefined, url = `/api/v1/tasks?${query}&limit=2`;
            url;
            url = cursor ? `${url}&cursor=${cursor}` : ''
          ) {
            const page = await server.get(url.replace(/&cursor=.*(?=&cursor=)/, ''));
            versioned.push(...page.body.map(({ id }: { id: string }) => id));
            cursor = page.headers['x-next-cursor'] as string | undefined;
          }
          const unversioned: string[] = [];
          for (let cursor: string | null = ''; cursor !== null;) {
            const { body } = await server.get(`/api/tasks?${query}&limit=3${cursor && `&cursor=${cursor}`}`);
            unversioned.push(...body.items.map(({ id }: { id: string }) => id));
            cursor = body.next_cursor as string | null;
          }
          expect(new Set(whole)).toEqual(new Set(made));
          expect(whole).toHaveLength(made.length);
          expect(versioned).toEqual(whole);
          expect(unversioned).toEqual(whole);
        }
      },
    );

    it.each([
      'status=gone',
      'priority=asap',
      'is_urgent=1',
      'sort_by=title',
      'sort_order=up',
      'limit=0',
      'limit=1001',
      'skip=-1',
      'workflow_id=x',
      'assigned_agent_id=a%20b',
      'cursor=nonsense',
      'status=pending&status=failed',
      'search=%00',
    ])('refuse %s', async (query) => {
      expect((await server.get(`/api/v1/tasks?${query}`)).status).toBe(422);
    });
  });

  describe('have a history', () => {
    it('of all that happened to them, newest first, in pages', async () => {
      const { id: project_id } = await makeProject(server);
      const agent = await makeAgent(server, { project_id });
      const task = await makeTask(server, { project_id, retry: { backoff_seconds: 0 } });
      const [first] = await lease(server, agent);
      await fail(server, first!);
      const [second] = await lease(server, agent);
      await complete(server, second!, { metrics: { tokens_in: 10, cost_usd: 0.5 } });

      const { status, body } = await server.get(`/api/v1/tasks/${task.id}/events`);
      const page = await server.get(`/api/tasks/${task.id}/events?limit=2&sort_order=asc`);

      expect(status).toBe(200);
      expect(body.map(({ type }: { type: string }) => type)).toEqual([
        'task_completed',
        'task_started',
        'task_retry_scheduled',
        'task_failed',
        'task_started',
        'task_created',
      ]);
      expect(body[0]).toMatchObject({
        source: 'agent',
        actor_type: 'agent',
        actor_id: agent.id,
        agent_id: agent.id,
        task_id: task.id,
        data: {
          attempt: 2,
          metrics: { tokens_in: 10, cost_usd: 0.5 },
          old_status: 'in_progress',
          new_status: 'completed',
          progress: 100,
        },
      });
      expect(body[3]).toMatchObject({
        severity: 'warning',
        agent_id: agent.id,
        data: { final: false, error: { message: 'It broke' } },
      });
      expect(page.body).toMatchObject({
        items: [{ type: 'task_created' }, { type: 'task_started', data: { attempt: 1 } }],
        total: 6,
      });
    });
  });
});

describe('the summary of tasks', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it('counts them and tells how far they are', async () => {
    const empty = await server.get('/api/v1/tasks/stats/summary');
    const [done, half, cancelled] = await Promise.all([
      makeTask(server, { is_urgent: true }),
      makeTask(server, { is_urgent: true }),
      makeTask(server),
    ]);
    await makeTask(server);
    await server.patch(`/api/v1/tasks/${done.id}/status`, { status: 'completed' });
    await server.patch(`/api/v1/tasks/${half.id}/progress`, { progress_percentage: 50 });
    await server.post(`/api/v1/tasks/${cancelled.id}/cancel`);

    const { status, body } = await server.get('/api/v1/tasks/stats/summary');

    expect(empty.body).toMatchObject({ total: 0, urgent: 0, avg_progress: 0, completion_rate: 0 });
    expect(status).toBe(200);
    expect(body).toEqual({
      total: 4,
      by_status: {
        pending: 2,
        blocked: 0,
        in_progress: 0,
        waiting_for_hitl: 0,
        completed: 1,
        failed: 0,
        cancelled: 1,
        skipped: 0,
      },
      urgent: 1,
      avg_progress: 37.5,
      completion_rate: 50,
    });
  });
});
