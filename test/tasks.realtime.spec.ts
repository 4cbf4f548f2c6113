import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from './support/eventually.js';
import { complete, lease, makeAgent, makeProject, makeTask } from './support/makers.js';
import { type Received, SocketClient } from './support/socket-client.js';
import { startTestApp, type TestApp } from './support/test-app.js';

describe('watching tasks', () => {
  let server: TestApp;
  let client: SocketClient;
  let url: string;

  beforeAll(async () => {
    server = await startTestApp({ isListening: true });
    url = await server.listen();
  });
  beforeEach(async () => {
    client = await SocketClient.connect(url);
  });
  afterEach(() => client.close());
  afterAll(() => server.close());

  const names = () => client.received.map(({ name }) => name);
  const until = (name: string): Promise<Received> =>
    eventually(() => {
      const last = client.received.find((one) => one.name === name);
      if (!last) throw new Error(`No ${name} among ${names().join()}`);
      return last;
    });

  it('tells each event, and besides it each change of status', async () => {
    await client.join('tasks');
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server);

    const task = await makeTask(server, { project_id, agent_type: agent.type });
    const [held] = await lease(server, agent);
    await complete(server, held!, { output: { pages: 3 } });
    await until('task_completed');
    await client.settle();

    expect(names().filter((name) => name !== 'task_assigned')).toEqual([
      'task_created',
      'task_started',
      'task_status_updated',
      'task_completed',
      'task_status_updated',
    ]);
    const started = client.payloads('task_started')[0];
    const [first, second] = client.payloads('task_status_updated');
    expect(first).toEqual({
      ...started,
      type: 'task_status_updated',
      data: { task_id: task.id, old_status: 'pending', new_status: 'in_progress', progress: 0 },
    });
    expect(second.data).toEqual({
      task_id: task.id,
      old_status: 'in_progress',
      new_status: 'completed',
      progress: 100,
    });
    expect(second.position).toBe(client.payloads('task_completed')[0].position);
    expect(client.payloads('task_created')[0]).toMatchObject({ task_id: task.id, project_id, agent_id: null });
  });

  it('tells of no change of status when there was none', async () => {
    const task = await makeTask(server, { agent_type: 'nobody' });
    await client.join(`task:${task.id}`);

    await server.put(`/api/v1/tasks/${task.id}`, { title: 'Renamed' });
    await until('task_updated');
    await client.settle();

    expect(names()).not.toContain('task_status_updated');
  });

  it('tells the rooms of the task, its agent and its project, each only what concerns it', async () => {
    const { id: project_id } = await makeProject(server);
    const agent = await makeAgent(server);
    const others = await Promise.all(
      [`agent:${agent.id}`, `project:${project_id}`].map(async (room) => {
        const other = await SocketClient.connect(url);
        await other.join(room);
        return other;
      }),
    );
    const task = await makeTask(server, { project_id, agent_type: agent.type });
    await makeTask(server, { agent_type: 'nobody' });
    await client.join(`task:${task.id}`);

    await lease(server, agent);
    await until('task_started');
    for (const other of others) await eventually(() => expect(other.payloads('task_started')).toHaveLength(1));

    expect(others[0]!.payloads('task_created')).toEqual([]);
    expect(others[1]!.payloads('task_created')).toHaveLength(1);
    for (const other of others) other.close();
  });

  it('tells what an agent that waits for work causes, at once', async () => {
    const agent = await makeAgent(server);
    await client.join(`agent:${agent.id}`);
    const waiting = lease(server, agent, { wait_seconds: 10 });

    const task = await makeTask(server, { agent_type: agent.type });
    const [held] = await waiting;

    expect(held!.task.id).toBe(task.id);
    expect((await until('task_started')).payload.data).toMatchObject({
      task_id: task.id,
      agent_id: agent.id,
      attempt: 1,
    });
  });
});
