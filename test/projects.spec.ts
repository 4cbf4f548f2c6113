import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, lease, makeAgent, makeProject, makeTask, makeWorkflow } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';

describe('projects', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it('are created with their defaults, and leave a trace', async () => {
    const { status, body, headers } = await server.post('/api/v1/projects', {
      name: 'Apollo',
      metadata: { z: 1, a: [2] },
    });

    expect(status).toBe(201);
    expect(headers.location).toBe(`/api/v1/projects/${body.id}`);
    expect(body).toMatchObject({ name: 'Apollo', status: 'active', description: null, metadata: { z: 1, a: [2] } });
    expect(await server.events({ project_id: body.id })).toMatchObject([
      {
        type: 'project_created',
        source: 'user',
        data: { name: 'Apollo' },
        metadata: { request_id: headers['x-request-id'] },
      },
    ]);
  });

  it('keep what an update does not mention, and clear what it sets to null', async () => {
    const { id } = await makeProject(server, { description: 'before', metadata: { kept: true } });

    const renamed = await server.put(`/api/v1/projects/${id}`, { name: 'After' });
    const cleared = await server.put(`/api/v1/projects/${id}`, { description: null });

    expect(renamed.body).toMatchObject({ name: 'After', description: 'before', metadata: { kept: true } });
    expect(cleared.body).toMatchObject({ name: 'After', description: null });
    expect((await server.events({ project_id: id })).map(({ type }) => type)).toEqual([
      'project_created',
      'project_updated',
      'project_updated',
    ]);
  });

  it('leave no trace when nothing is given', async () => {
    const project = await makeProject(server);

    const { status, body } = await server.put(`/api/v1/projects/${project.id}`, { unknown: 1 });

    expect([status, body]).toEqual([200, project]);
    expect(await server.events({ project_id: project.id })).toHaveLength(1);
  });

  it.each([
    ['no name', {}, '/name'],
    ['an empty name', { name: '' }, '/name'],
    ['a blank name', { name: ' \t\u00a0' }, '/name'],
    ['a name that is too long', { name: 'x'.repeat(256) }, '/name'],
    ['a name of another type', { name: 7 }, '/name'],
    ['null for a name', { name: null }, '/name'],
    ['an unknown status', { name: 'x', status: 'paused' }, '/status'],
    ['metadata that is no object', { name: 'x', metadata: [] }, '/metadata'],
  ])('refuse %s', async (_what, body, pointer) => {
    const answer = await server.post('/api/v1/projects', body);

    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({ code: 'invalid_input', errors: [{ pointer }] });
  });

  it('answer 404 for an unknown id and 422 for a malformed one, whatever the method', async () => {
    for (const method of ['GET', 'PUT', 'DELETE'] as const) {
      const body = method === 'PUT' ? { name: 'x' } : undefined;
      expect((await server.request(method, `/api/v1/projects/${UNKNOWN}`, body)).body).toMatchObject({
        code: 'project_not_found',
      });
      expect((await server.request(method, '/api/v1/projects/nonsense', body)).body).toMatchObject({ status: 422 });
    }
  });

  it('are deleted with what belongs to them; their events stay', async () => {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server, { project_id });
    const task = await makeTask(server, { project_id });
    const workflow = await makeWorkflow(server, { project_id });

    expect((await server.delete(`/api/v1/projects/${project_id}`)).status).toBe(204);

    for (const path of [
      `projects/${project_id}`,
      `agents/${agent.id}`,
      `tasks/${task.id}`,
      `workflows/${workflow.id}`,
    ]) {
      expect((await server.get(`/api/v1/${path}`)).status).toBe(404);
    }
    expect((await server.events({ project_id })).map(({ type }) => type)).toContain('project_deleted');
  });

  it('refuse to be deleted while a task is in progress', async () => {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server);
    await makeTask(server, { project_id, agent_type: agent.type });
    const [held] = await lease(server, agent);

    const refused = await server.delete(`/api/v1/projects/${project_id}`);
    await complete(server, held!);

    expect(refused).toMatchObject({ status: 409, body: { code: 'project_has_running_tasks' } });
    expect((await server.delete(`/api/v1/projects/${project_id}`)).status).toBe(204);
  });

  it('are listed by status and name', async () => {
    await makeProject(server, { name: 'Searchable 100%', status: 'completed' });

    const found = await server.get('/api/v1/projects?status=completed&search=able%20100%25');

    expect(found.body).toMatchObject([{ name: 'Searchable 100%' }]);
    expect((await server.get('/api/v1/projects?search=%25')).body).toHaveLength(1);
  });
});
