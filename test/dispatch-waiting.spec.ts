import { get as httpGet, request } from 'node:http';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { LeaseWaiters } from '../src/tasks/lease-waiters.js';
import { eventually, HANGING_MS, within } from './support/eventually.js';
import { complete, fail, lease, type Leased, makeAgent, makeProject, makeTask } from './support/makers.js';
import { HOLD_BACK_LOG, openTransaction } from './support/open-transaction.js';
import { startTestApp, type TestApp } from './support/test-app.js';
import { isBack, WAIT_SECONDS, waitForWork } from './support/waiting-agent.js';

describe('an agent that waits for work', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  const agentOf = async ({ id }: { id: string }) => (await server.get(`/api/v1/agents/${id}`)).body;
  const titles = (leased: Leased[]) => leased.map(({ task }) => task.title as string);
  const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();

  /** A project in which tests do not meet: its agents see only its tasks. */
  async function place() {
    const { id: project_id } = await makeProject(server);
    return {
      project_id,
      agent: (fields: object = {}) => makeAgent(server, { project_id, ...fields }),
      task: (title: string, fields: object = {}) => makeTask(server, { project_id, title, ...fields }),
    };
  }

  const waiting = (agent: { id: string; status: string }, fields?: object) => waitForWork(server, agent, fields);

  it('gets a task as soon as it is created', async () => {
    const { agent, task } = await place();
    const { answer } = await waiting(await agent({ status: 'offline' }));

    await task('new');

    expect(titles(await answer)).toEqual(['new']);
  });

  it('gets a task that is created while it begins to wait', async () => {
    const { agent, task } = await place();
    const rounds = Array.from({ length: 20 }, async (_each, round) => {
      const type = `beginner ${round}`;
      const { answer } = await waiting(await agent({ type }));
      for (let turn = 0; turn < round; turn++) await new Promise(setImmediate);
      await task(type, { agent_type: type });
      return titles(await answer);
    });

    expect(await Promise.all(rounds)).toEqual(rounds.map((_each, round) => [`beginner ${round}`]));
  });

  it.skipIf(!inject('template'))('gets a task as soon as others let go of it', async () => {
    const { agent, task } = await place();
    const { id } = await task('in other hands');
    const letGo = await openTransaction(server, 'SELECT FROM tasks WHERE id = $1 FOR UPDATE', [id]);
    const { answer } = await waiting(await agent({ status: 'offline' }));

    await letGo();

    expect(titles(await answer)).toEqual(['in other hands']);
  });

  it.skipIf(!inject('template'))('gets a task although a transaction holds the log back', async () => {
    const { agent, task } = await place();
    const { answer } = await waiting(await agent({ status: 'offline' }));
    const letGo = await openTransaction(server, HOLD_BACK_LOG);

    await task('not yet told');

    expect(titles(await answer)).toEqual(['not yet told']);
    await letGo();
  });

  it('gets nothing when its time is over', async () => {
    const { agent } = await place();
    const startedAt = performance.now();

    const leased = await lease(server, await agent(), { wait_seconds: 0.3 });

    expect(leased).toEqual([]);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(300);
  });

  it('gets a task when its scheduled time has come', async () => {
    const { agent, task } = await place();
    await task('known before', { scheduled_at: inSeconds(1.2) });
    const { answer } = await waiting(await agent({ status: 'offline' }));
    const { answer: another } = await waiting(await agent({ status: 'offline' }));

    await task('told while it waits', { scheduled_at: inSeconds(1) });

    expect([...titles(await answer), ...titles(await another)].sort()).toEqual(['known before', 'told while it waits']);
  });

  it('gets a task when its back-off is over', async () => {
    const { agent, task } = await place();
    await task('flaky', { retry: { backoff_seconds: 0.5, jitter: false } });
    const [held] = await lease(server, await agent());
    const { answer } = await waiting(await agent({ status: 'offline' }));

    await fail(server, held!);

    expect(await answer).toMatchObject([{ task: { title: 'flaky' }, lease: { attempt: 2 } }]);
  });

  it('gets a task when what that waited for is completed', async () => {
    const { agent, task } = await place();
    const first = await task('first');
    await task('second', { dependencies: [first.id] });
    const [held] = await lease(server, await agent());
    const { answer } = await waiting(await agent({ status: 'offline' }));

    await complete(server, held!);

    expect(titles(await answer)).toEqual(['second']);
  });

  it.each([
    ['completes', (held: Leased) => complete(server, held)],
    ['fails', (held: Leased) => fail(server, held, { retryable: false })],
    ['must try again later', (held: Leased) => fail(server, held)],
    [
      'gives back',
      ({ task, lease: { token } }: Leased) =>
        server.post(`/api/v1/tasks/${task.id}/lease/release`, { lease_token: token }),
    ],
    [
      'has taken away from it',
      ({ task }: Leased) => server.patch(`/api/v1/tasks/${task.id}/status`, { status: 'cancelled' }),
    ],
    [
      'loses',
      ({ task }: Leased) =>
        server.database.query(`UPDATE tasks SET lease_expires_at = now() - interval '1 s' WHERE id = $1`, [task.id]),
    ],
  ])('gets the next task as soon as it %s the one that filled its slot', async (_how, end) => {
    const { agent, task } = await place();
    const worker = await agent();
    await task('first', { retry: { backoff_seconds: 3600, jitter: false } });
    const [held] = await lease(server, worker);
    await task('next', { priority: 'high' });
    const { answer } = await waiting(worker);

    await end(held!);

    expect(titles(await answer)).toEqual(['next']);
  });

  it('gets a task that is given to it', async () => {
    const { agent, task } = await place();
    const { id } = await task('given', { agent_type: 'another' });
    const worker = await agent({ status: 'offline' });
    const { answer } = await waiting(worker);

    await server.patch(`/api/v1/tasks/${id}/assign`, { assigned_agent_id: worker.id });

    expect(titles(await answer)).toEqual(['given']);
  });

  it('gets a task as soon as it may do it', async () => {
    const { agent, task } = await place();
    await task('hard', { required_capabilities: ['sql'] });
    const worker = await agent({ status: 'offline' });
    const { answer } = await waiting(worker);

    await server.put(`/api/v1/agents/${worker.id}`, { capabilities: ['sql'] });

    expect(titles(await answer)).toEqual(['hard']);
  });

  it('gets the task that would have been for one who was deleted while it waited', async () => {
    const { agent, task } = await place();
    const gone = await agent({ status: 'offline' });
    const refused = lease(server, gone, { wait_seconds: WAIT_SECONDS }).catch((error: Error) => error.message);
    await isBack(server, gone);
    const { answer } = await waiting(await agent({ status: 'offline' }));

    await server.delete(`/api/v1/agents/${gone.id}`);
    await task('for who is left');

    expect(titles(await answer)).toEqual(['for who is left']);
    expect(await refused).toContain('404');
  });

  it('gets a task that anybody may do now because its agent was deleted', async () => {
    const { agent, task } = await place();
    const chosen = await agent();
    await task('orphan', { assigned_agent_id: chosen.id });
    const { answer } = await waiting(await agent({ status: 'offline' }));

    await server.delete(`/api/v1/agents/${chosen.id}`);

    expect(titles(await answer)).toEqual(['orphan']);
  });

  it('gets nothing while it is drained, and something when it is resumed', async () => {
    const { agent, task } = await place();
    const worker = await agent({ status: 'offline' });
    await server.post(`/api/v1/agents/${worker.id}/drain`);
    await task('patient');
    const { answer } = await waiting(worker);

    await server.post(`/api/v1/agents/${worker.id}/resume`);

    expect(titles(await answer)).toEqual(['patient']);
  });

  it('is not passed over because another one, which waits longer, cannot take the task', async () => {
    const { agent, task } = await place();
    await task('filler');
    const full = await agent();
    await lease(server, full);
    const drained = await agent({ status: 'offline' });
    await server.post(`/api/v1/agents/${drained.id}/drain`);
    const idle = await agent({ status: 'offline' });
    const neverFirst = lease(server, full, { wait_seconds: 3 });
    const neither = lease(server, drained, { wait_seconds: 3 });
    await eventually(async () => expect((await agentOf(drained)).status).toBe('idle'));
    const { answer } = await waiting(idle);

    await task('for whom it may concern');

    expect(titles(await answer)).toEqual(['for whom it may concern']);
    expect(await Promise.all([neverFirst, neither])).toEqual([[], []]);
  });

  it('shares what comes with all who wait', async () => {
    const { agent, task } = await place();
    const agents = await Promise.all(Array.from({ length: 10 }, () => agent({ status: 'offline' })));
    const waits = await Promise.all(agents.map((each) => waiting(each)));
    const names = agents.map((_agent, index) => `task ${index}`);

    await Promise.all(names.map((name) => task(name)));

    const served = await Promise.all(waits.map(({ answer }) => answer));
    expect(served.flatMap(titles).sort()).toEqual(names);
    expect(served.every((leased) => leased.length === 1)).toBe(true);
  });

  it('waits with an Idempotency-Key no longer than it said', async () => {
    const { agent } = await place();
    const { id: agent_id } = await agent();
    const body = { agent_id, wait_seconds: 0.5 };

    const answer = await within(
      HANGING_MS,
      server.post('/api/v1/tasks/lease', body, { 'idempotency-key': 'a wait in vain' }),
    );

    expect(answer).toMatchObject({ status: 200, body: [] });
  });

  it('waits with an Idempotency-Key, too, without keeping the database to itself', async () => {
    const { agent, task } = await place();
    const worker = await agent({ status: 'offline' });
    const poll = (wait_seconds: number, key: string) =>
      server.post('/api/v1/tasks/lease', { agent_id: worker.id, wait_seconds }, { 'idempotency-key': key });

    const waiting = poll(WAIT_SECONDS, 'poll 1');
    await isBack(server, worker);
    const made = await task('meanwhile');
    const first = await waiting;
    const again = await poll(WAIT_SECONDS, 'poll 1');
    const nothing = await poll(0, 'poll 2');

    expect(first).toMatchObject({ status: 200, body: [{ task: { id: made.id } }] });
    expect(again).toMatchObject({ headers: { 'idempotency-replayed': 'true' }, body: first.body });
    expect(nothing).toMatchObject({ status: 200, body: [] });
  });
});

describe('a wait for work', () => {
  const poll = (url: string, agent: { id: string }) => {
    const body = JSON.stringify({ agent_id: agent.id, wait_seconds: WAIT_SECONDS });
    const sent = request(`${url}/api/v1/tasks/lease`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    sent.end(body);
    return sent;
  };

  it('that its client gave up swallows no task', async () => {
    const server = await startTestApp({ isListening: true });
    const url = await server.listen();
    const { id: project_id } = await makeProject(server);
    const gone = await makeAgent(server, { project_id, status: 'offline' });
    const there = await makeAgent(server, { project_id, status: 'offline' });
    const connections = promisify((done: (error: Error | null, count: number) => void) =>
      server.app.getHttpServer().getConnections(done),
    );
    const statusOf = async ({ id }: { id: string }) => (await server.get(`/api/v1/agents/${id}`)).body.status as string;

    const left = poll(url, gone);
    left.on('error', () => undefined);
    await eventually(async () => expect(await statusOf(gone)).toBe('idle'));
    const answer = lease(server, there, { wait_seconds: WAIT_SECONDS });
    await eventually(async () => expect(await statusOf(there)).toBe('idle'));
    left.destroy();
    await eventually(async () => expect(await connections()).toBe(0));
    const task = await makeTask(server, { project_id });

    expect(await answer).toMatchObject([{ task: { id: task.id } }]);
    expect((await server.get(`/api/v1/tasks/${task.id}`)).body).toMatchObject({
      assigned_agent_id: there.id,
      attempt: 1,
    });
    await server.close();
  });

  it('gives back what it got when its client has just left', async () => {
    const server = await startTestApp();
    const { id: project_id } = await makeProject(server);
    const { id: agent_id } = await makeAgent(server, { project_id });
    const task = await makeTask(server, { project_id });
    const client = new AbortController();

    const answer = server.app
      .get(LeaseWaiters)
      .lease({ agent_id, max_tasks: 1, lease_seconds: 60 }, WAIT_SECONDS * 1000, client.signal);
    client.abort();

    expect(await answer).toEqual([]);
    const states = (await server.events({ task_id: task.id })).map(({ data }) => data.new_status).filter(Boolean);
    expect(states).toEqual(['pending', 'in_progress', 'pending']);
    const { body } = await server.get(`/api/v1/tasks/${task.id}`);
    expect(body).toMatchObject({ status: 'pending', attempt: 0, assigned_agent_id: null });
    await server.close();
  });

  it('ends when the server stops', async () => {
    const server = await startTestApp({ isListening: true });
    const url = await server.listen();
    const agent = await makeAgent(server, { status: 'offline' });
    const startedAt = performance.now();
    const answer = new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const sent = poll(url, agent);
      sent.on('error', reject);
      sent.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () => resolve({ status: response.statusCode, text }));
      });
    });
    await eventually(async () => {
      expect((await server.get(`/api/v1/agents/${agent.id}`)).body.status).toBe('idle');
    });

    await server.close();

    expect(await answer).toEqual({ status: 200, text: '[]' });
    expect((performance.now() - startedAt) / 1000).toBeLessThan(WAIT_SECONDS / 2);
    await expect(
      new Promise((resolve, reject) => {
        httpGet(url, resolve).on('error', reject);
      }),
    ).rejects.toThrow('ECONNREFUSED');
  });
});
