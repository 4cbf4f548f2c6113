import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, fail, lease, makeAgent, makeProject, makeTask } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';

describe('a task that depends on others', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  type Ref = { id: string };
  const read = async ({ id }: Ref) => (await server.get(`/api/v1/tasks/${id}`)).body;
  const statuses = async (...tasks: Ref[]) =>
    (await Promise.all(tasks.map(read))).map(({ status }) => status as string);
  const typesOf = async ({ id }: Ref) => (await server.events({ task_id: id })).map(({ type }) => type);
  const after = (...tasks: Ref[]) => makeTask(server, { dependencies: tasks.map(({ id }) => id) });
  const add = (task: Ref, dependency_id: unknown) =>
    server.post(`/api/v1/tasks/${task.id}/dependencies`, { dependency_id });
  const remove = (task: Ref, dependency: Ref) =>
    server.delete(`/api/v1/tasks/${task.id}/dependencies/${dependency.id}`);
  const move = ({ id }: Ref, status: string) => server.patch(`/api/v1/tasks/${id}/status`, { status });
  const cancel = ({ id }: Ref) => server.post(`/api/v1/tasks/${id}/cancel`);
  const retry = ({ id }: Ref) => server.post(`/api/v1/tasks/${id}/retry`);

  it('is blocked until all of them are completed', async () => {
    const [a, b] = [await makeTask(server), await makeTask(server)];

    const task = await after(a, b);
    await move(a, 'completed');
    const half = await read(task);
    await move(b, 'completed');
    const free = await read(task);

    expect(task).toMatchObject({ status: 'blocked', is_blocked: true, ready_at: null });
    expect(new Set(task.dependencies)).toEqual(new Set([a.id, b.id]));
    expect((await read(a)).dependents).toEqual([task.id]);
    expect(half.status).toBe('blocked');
    expect(free).toMatchObject({ status: 'pending', is_blocked: false, ready_at: expect.any(String) });
    expect((await server.events({ task_id: task.id })).at(-1)).toMatchObject({
      type: 'task_updated',
      data: { old_status: 'blocked', new_status: 'pending' },
    });
  });

  it('is pending at once when they are completed already', async () => {
    const done = await makeTask(server);
    await move(done, 'completed');

    expect(await after(done)).toMatchObject({ status: 'pending', dependencies: [done.id] });
  });

  it('counts a dependency that is named twice once', async () => {
    const a = await makeTask(server);

    const task = await after(a, a);
    await move(a, 'completed');

    expect(task.dependencies).toEqual([a.id]);
    expect(await statuses(task)).toEqual(['pending']);
  });

  it('waits for its scheduled time once it is free', async () => {
    const a = await makeTask(server);
    const task = await makeTask(server, { dependencies: [a.id], scheduled_at: '2999-01-01T00:00:00Z' });

    await move(a, 'completed');

    expect(await read(task)).toMatchObject({ status: 'pending', ready_at: '2999-01-01T00:00:00.000Z' });
  });

  it('becomes pending once when agents complete all of them at the same time', async () => {
    const { id: project_id } = await makeProject(server);
    const agents = await Promise.all(Array.from({ length: 4 }, () => makeAgent(server, { project_id })));
    const dependencies = await Promise.all(agents.map(() => makeTask(server, { project_id })));
    const task = await after(...dependencies);
    const held = await Promise.all(agents.map(async (agent) => (await lease(server, agent))[0]!));

    const answers = await Promise.all(held.map((each) => complete(server, each)));

    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(await read(task)).toMatchObject({ status: 'pending', ready_at: expect.any(String) });
    expect(await typesOf(task)).toEqual(['task_created', 'task_updated']);
  });

  it('is skipped, with all that waits for it, when one of them fails for good', async () => {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server, { project_id });
    const [a, other] = [await makeTask(server, { project_id }), await makeTask(server)];
    const child = await after(a, other);
    const grandchild = await after(child);
    const [held] = await lease(server, agent);

    await fail(server, held!, { retryable: false });

    expect(await statuses(a, child, grandchild, other)).toEqual(['failed', 'skipped', 'skipped', 'pending']);
    expect(await read(grandchild)).toMatchObject({
      error: { code: 'dependency_not_completed' },
      completed_at: expect.any(String),
    });
    expect((await server.events({ task_id: child.id })).at(-1)).toMatchObject({
      type: 'task_skipped',
      data: { old_status: 'blocked', new_status: 'skipped' },
    });
    await move(other, 'completed');
    expect(await statuses(child)).toEqual(['skipped']);
  });

  it('is not skipped by a failure that is tried again', async () => {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server, { project_id });
    const a = await makeTask(server, { project_id });
    const child = await after(a);
    const [held] = await lease(server, agent);

    await fail(server, held!);

    expect(await statuses(a, child)).toEqual(['pending', 'blocked']);
  });

  it('is skipped when one of them is cancelled', async () => {
    const a = await makeTask(server);
    const child = await after(a);

    await cancel(a);

    expect(await statuses(child)).toEqual(['skipped']);
  });

  it('is revived when what it waits for is retried', async () => {
    const a = await makeTask(server);
    const child = await after(a);
    const grandchild = await after(child);
    await cancel(a);

    await retry(a);
    const revived = await statuses(a, child, grandchild);
    await move(a, 'completed');
    await move(child, 'completed');

    expect(revived).toEqual(['pending', 'blocked', 'blocked']);
    expect(await read(grandchild)).toMatchObject({ status: 'pending', error: null, completed_at: null });
  });

  it('that was cancelled itself is blocked again when it is retried', async () => {
    const a = await makeTask(server);
    const child = await after(a);
    await cancel(child);

    const { body } = await retry(child);

    expect(body).toMatchObject({ status: 'blocked', ready_at: null });
    await move(a, 'completed');
    expect(await statuses(child)).toEqual(['pending']);
  });

  it('waits no longer for one that is deleted', async () => {
    const [a, b] = [await makeTask(server), await makeTask(server)];
    const task = await after(a, b);

    await server.delete(`/api/v1/tasks/${a.id}`);
    const half = await read(task);
    await server.delete(`/api/v1/tasks/${b.id}`);

    expect(half).toMatchObject({ status: 'blocked', dependencies: [b.id] });
    expect(await read(task)).toMatchObject({ status: 'pending', dependencies: [], ready_at: expect.any(String) });
  });

  describe('by a later addition', () => {
    it('is blocked again, and tells', async () => {
      const [task, a] = [await makeTask(server), await makeTask(server)];

      const added = await add(task, a.id);
      const again = await add(task, a.id);

      expect(added).toMatchObject({ status: 200, body: { status: 'blocked', dependencies: [a.id], ready_at: null } });
      expect(again.body).toEqual(added.body);
      expect((await server.events({ task_id: task.id })).slice(1)).toMatchObject([
        {
          type: 'task_updated',
          data: { old_status: 'pending', new_status: 'blocked', changes: { added_dependency: a.id } },
        },
      ]);
      await move(a, 'completed');
      expect(await statuses(task)).toEqual(['pending']);
    });

    it('is not blocked by one that is completed', async () => {
      const [task, done] = [await makeTask(server), await makeTask(server)];
      await move(done, 'completed');

      const { body } = await add(task, done.id);

      expect(body).toMatchObject({ status: 'pending', dependencies: [done.id] });
      expect(Date.parse(body.ready_at)).toBeLessThanOrEqual(Date.now() + 1000);
    });

    it('refuses a cycle, with the way around', async () => {
      const a = await makeTask(server);
      const b = await after(a);
      const c = await after(b);

      const around = await add(a, c.id);
      const itself = await add(a, a.id);

      expect(around).toMatchObject({ status: 409, body: { code: 'dependency_cycle', path: [a.id, c.id, b.id, a.id] } });
      expect(itself).toMatchObject({ status: 409, body: { code: 'dependency_cycle', path: [a.id, a.id] } });
      expect(await statuses(a)).toEqual(['pending']);
    });

    it('cannot close a cycle in two halves at once', async () => {
      const [a, b] = [await makeTask(server), await makeTask(server)];

      const answers = await Promise.all([add(a, b.id), add(b, a.id)]);

      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 409]));
    });

    it.each(['in_progress', 'completed', 'cancelled'])('is refused once it is %s', async (status) => {
      const [task, a] = [await makeTask(server), await makeTask(server)];
      await move(task, status);

      expect(await add(task, a.id)).toMatchObject({ status: 409, body: { code: 'task_move_refused' } });
    });

    it.each([
      ['an unknown task', UNKNOWN],
      ['no id', undefined],
      ['null', null],
      ['text', 'x'],
    ])('refuses %s', async (_what, dependency_id) => {
      const task = await makeTask(server);

      expect(await add(task, dependency_id)).toMatchObject({
        status: 422,
        body: { errors: [{ pointer: '/dependency_id' }] },
      });
    });
  });

  describe('by a removal', () => {
    it('is free when nothing is left to wait for', async () => {
      const [a, b] = [await makeTask(server), await makeTask(server)];
      const task = await after(a, b);

      const half = await remove(task, a);
      const free = await remove(task, b);

      expect(half).toMatchObject({ status: 200, body: { status: 'blocked', dependencies: [b.id] } });
      expect(free).toMatchObject({
        status: 200,
        body: { status: 'pending', dependencies: [], ready_at: expect.any(String) },
      });
      expect((await server.events({ task_id: task.id })).at(-1)).toMatchObject({
        type: 'task_updated',
        data: { changes: { removed_dependency: b.id }, old_status: 'blocked', new_status: 'pending' },
      });
    });

    it('finds nothing wrong with one that is absent', async () => {
      const task = await makeTask(server);

      expect(await remove(task, { id: UNKNOWN })).toMatchObject({
        status: 200,
        body: { id: task.id, status: 'pending' },
      });
      expect(await typesOf(task)).toEqual(['task_created']);
    });

    it('refuses an id that is none', async () => {
      const task = await makeTask(server);

      expect(await remove(task, { id: 'x' })).toMatchObject({
        status: 422,
        body: { errors: [{ pointer: 'dependency_id' }] },
      });
    });
  });

  describe('what will not complete', () => {
    it('lets a task that is created to wait for it be skipped at once', async () => {
      const failed = await makeTask(server);
      await server.patch(`/api/v1/tasks/${failed.id}/status`, { status: 'cancelled' });

      const late = await makeTask(server, { dependencies: [failed.id] });

      expect(late).toMatchObject({ status: 'skipped', error: { code: 'dependency_not_completed' } });
      await server.post(`/api/v1/tasks/${failed.id}/retry`);
      expect((await server.get(`/api/v1/tasks/${late.id}`)).body).toMatchObject({ status: 'blocked' });
    });

    it('frees the tasks elsewhere that wait for it when it is removed with its project', async () => {
      const { id: project_id } = await makeProject(server);
      const inside = await makeTask(server, { project_id });
      const outside = await makeTask(server, { dependencies: [inside.id] });

      await server.delete(`/api/v1/projects/${project_id}`);

      expect((await server.get(`/api/v1/tasks/${outside.id}`)).body).toMatchObject({
        status: 'pending',
        dependencies: [],
      });
    });
  });
});
