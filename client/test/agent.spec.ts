import {
  type AgentOptions,
  type AgentReport,
  FlightdeckAgent,
  type Task,
  type TaskAborted,
  TaskFailure,
  TaskRelease,
} from '@flightdeck/client';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually, sleep } from '../../test/support/eventually.js';
import { makeAgent, makeTask } from '../../test/support/makers.js';
import { startTestApp, type TestApp } from '../../test/support/test-app.js';
import { Proxy } from '../../test/support/proxy.js';

describe('an agent', () => {
  let server: TestApp;
  let url: string;
  let proxy: Proxy;
  let type: string;
  let reports: AgentReport[];
  let agents: FlightdeckAgent[] = [];

  beforeAll(async () => {
    server = await startTestApp({ isListening: true });
    url = await server.listen();
    proxy = await Proxy.to(url);
  });
  beforeEach(() => {
    type = `writer-${randomUUID()}`;
    reports = [];
  });
  afterEach(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
    agents = [];
  });
  afterAll(async () => {
    await proxy.close();
    await server.close();
  });

  function make(handler: AgentOptions['handler'], options: Partial<AgentOptions> = {}): FlightdeckAgent {
    const onReport = (report: AgentReport) => void reports.push(report);
    const agent = new FlightdeckAgent({ url, key: type, type, handler, onReport, stopTimeoutSeconds: 0, ...options });
    agents.push(agent);
    return agent;
  }

  async function start(handler: AgentOptions['handler'], options: Partial<AgentOptions> = {}) {
    const agent = make(handler, options);
    await agent.start();
    return agent;
  }

  const queue = (fields: object = {}): Promise<Task> => makeTask(server, { agent_type: type, ...fields });
  const get = async ({ id }: { id: string }): Promise<Task> => (await server.get(`/api/v1/tasks/${id}`)).body;
  const becomes = (task: Task, expected: object) =>
    eventually(async () => expect(await get(task)).toMatchObject(expected));
  /** The server's word that a task is in progress may be older than the agent's own knowledge of it. */
  const works = (agent: FlightdeckAgent, tasks = 1) => eventually(() => expect(agent.running).toBe(tasks));
  const eventTypes = async ({ id }: Task) => (await server.events({ task_id: id })).map(({ type }) => type);
  /** A handler that works until it is told to stop. */
  const untilAborted: AgentOptions['handler'] = async (_task, { signal }) => {
    if (!signal.aborted) await once(signal, 'abort');
    throw signal.reason;
  };

  describe('that starts', () => {
    it('registers, or finds itself again by its key and says what changed', async () => {
      const profile = { name: `Ada ${type}`, capabilities: ['haiku'] };
      const first = make(untilAborted, { profile });
      const registered = await first.start();
      await first.stop();

      const again = await make(untilAborted, { profile: { ...profile, tags: ['night'] }, concurrency: 3 }).start();

      expect(registered).toMatchObject({ key: type, type, ...profile, max_concurrent_tasks: 1 });
      expect(again).toMatchObject({ id: registered.id, ...profile, tags: ['night'], max_concurrent_tasks: 3 });
    });

    it('registers once, though the answer got lost', async () => {
      proxy.dropAnswers(1, 'POST /api/v1/agents');

      const { id } = await make(untilAborted, { url: proxy.url }).start();

      expect((await server.get(`/api/v1/agents?type=${type}`)).body).toMatchObject([{ id }]);
    });

    it('is refused when its name belongs to another', async () => {
      await makeAgent(server, { name: 'Taken', type });

      await expect(make(untilAborted, { profile: { name: 'Taken' } }).run()).rejects.toMatchObject({
        status: 409,
        code: 'agent_exists',
      });
    });

    it('waits for a server that is away, and stops when it is told to', async () => {
      const agent = make(untilAborted, { url: 'http://127.0.0.1:1' });
      const starting = agent.start();
      starting.catch(() => undefined);
      await eventually(() => expect(reports).toMatchObject([{ kind: 'server_away', error: { code: 'no_answer' } }]));

      await agent.stop();

      await expect(starting).rejects.toThrow('The agent stops');
    });
  });

  describe('that gets a task', () => {
    it('gives what its handler returns as output', async () => {
      const task = await queue({ input: { about: 'rain' } });

      await start(({ input }) => `About ${String(input.about)}`);

      await becomes(task, { status: 'completed', output: 'About rain', attempt: 1 });
      expect(reports).toEqual([]);
    });

    it('does as many at once as it may', async () => {
      for (let i = 0; i < 5; i++) await queue();
      let most = 0;
      const agent = await start(
        async () => {
          await eventually(() => {
            most = Math.max(most, agent.running);
            expect(most).toBe(2);
          });
        },
        { concurrency: 2 },
      );

      await eventually(async () => {
        const { body } = await server.get<Task[]>(`/api/v1/tasks?agent_type=${type}&status=completed`);
        expect(body).toHaveLength(5);
      });
      expect(most).toBe(2);
    });

    it('lets another attempt follow when its handler throws', async () => {
      const task = await queue({ retry: { backoff_seconds: 0.1, jitter: false } });

      await start(({ attempt }) => {
        if (attempt === 1) throw Object.assign(new Error('No such\0 file'), { code: 'ENOENT' });
        return attempt;
      });

      await becomes(task, { status: 'completed', output: 2, attempt: 2 });
      const [failed] = (await server.events({ task_id: task.id })).filter((event) => event.type === 'task_failed');
      expect(failed!.data).toMatchObject({ error: { message: 'No such file', code: 'ENOENT' }, final: false });
      expect(reports).toMatchObject([{ kind: 'task_failed', task: { id: task.id } }]);
    });

    it('lets none follow when that would not help', async () => {
      const task = await queue();

      await start(() => {
        throw new TaskFailure('The file is no text', { code: 'no_text', retryable: false });
      });

      await becomes(task, { status: 'failed', attempt: 1, error: { message: 'The file is no text', code: 'no_text' } });
    });

    it('gives it back when its handler says so, and the attempt does not count', async () => {
      const task = await queue();
      let isFirst = true;

      await start(() => {
        if (!isFirst) return 'done';
        isFirst = false;
        throw new TaskRelease('Not now');
      });

      await becomes(task, { status: 'completed', output: 'done', attempt: 1 });
      expect(await eventTypes(task)).not.toContain('task_failed');
      expect(reports).toEqual([]);
    });

    it('shows its progress', async () => {
      const task = await queue();

      await start(async (_task, { signal, progress }) => {
        for (const percentage of [10, 20, 40]) progress(percentage);
        await becomes(task, { progress_percentage: 40 });
        expect(() => progress(101)).toThrow(RangeError);
        expect(signal.aborted).toBe(false);
      });

      await becomes(task, { status: 'completed' });
    });

    it('keeps the lease for as long as it works', async () => {
      const task = await queue();

      await start(() => sleep(7_000), { leaseSeconds: 5 });

      await becomes(task, { status: 'completed', attempt: 1 });
      expect(await eventTypes(task)).not.toContain('task_lease_expired');
    });

    it('gives its result though answers get lost, exactly once', async () => {
      const task = await queue();
      proxy.dropAnswers(3, '/lease/complete');
      const before = proxy.dropped;

      await start(() => 'done', { url: proxy.url });

      await eventually(() => expect(proxy.dropped - before).toBe(3));
      await becomes(task, { status: 'completed', output: 'done' });
      expect((await eventTypes(task)).filter((each) => each === 'task_completed')).toHaveLength(1);
      await eventually(() => expect(agents[0]!.running).toBe(0));
      expect(reports).toMatchObject([{ kind: 'server_away' }]);
    });

    it.each([
      ['is too large', () => 'x'.repeat(1_100_000)],
      ['holds what a database cannot', () => 'a\0b'],
      ['is no JSON', () => 1n],
    ])('fails it for good when the output %s', async (_what, output) => {
      const task = await queue();

      await start(output);

      await becomes(task, { status: 'failed', attempt: 1, error: { message: expect.any(String) } });
      expect(reports).toHaveLength(1);
    });
  });

  describe('whose task is to be cancelled', () => {
    it('tells the handler, and the task is cancelled when that throws', async () => {
      const task = await queue();
      let reason: TaskAborted | null = null;
      const agent = await start(async (given, context) => {
        context.signal.addEventListener('abort', () => (reason = context.signal.reason as TaskAborted));
        await untilAborted(given, context);
      });
      await works(agent);

      await server.post(`/api/v1/tasks/${task.id}/cancel`);

      await becomes(task, { status: 'cancelled' });
      expect(reason).toMatchObject({ name: 'TaskAborted', code: 'cancel_requested' });
      expect(reports).toEqual([]);
    });
  });

  describe('that loses a lease', () => {
    it('tells the handler, and reports the result that came too late', async () => {
      const task = await queue({ max_attempts: 5 });
      const reasons: unknown[] = [];
      const agent = await start(
        async ({ attempt }, { signal }) => {
          if (reasons.length > 0) return `attempt ${attempt}`;
          await once(signal, 'abort');
          reasons.push(signal.reason);
          return 'too late';
        },
        { leaseSeconds: 5 },
      );
      await works(agent);

      // Taken away by hand.
      await server.patch(`/api/v1/tasks/${task.id}/status`, { status: 'pending' });

      await becomes(task, { status: 'completed', output: 'attempt 1' });
      expect(reasons).toMatchObject([{ code: 'lease_lost' }]);
      expect(reports).toMatchObject([
        {
          kind: 'result_refused',
          task: { id: task.id },
          error: { status: 409, code: 'lease_lost' },
          outcome: { action: 'complete', output: 'too late' },
        },
      ]);
    });
  });

  describe('that stops', () => {
    it('waits for what it does, and says that it is gone', async () => {
      const task = await queue();
      let finish: (output: string) => void = () => undefined;
      const agent = await start(() => new Promise((resolve) => (finish = resolve)), { stopTimeoutSeconds: 60 });
      await works(agent);
      const later = await queue();

      const stopping = agent.stop();
      finish('done');
      await stopping;

      expect(await get(task)).toMatchObject({ status: 'completed', output: 'done' });
      expect(await get(later)).toMatchObject({ status: 'pending', attempt: 0 });
      expect((await server.get(`/api/v1/agents/${type}`)).body).toMatchObject({ status: 'offline' });
      await agent.ended;
      await agent.stop();
    });

    it('gives back what is not done in time, also when the handler does not listen', async () => {
      const [listening, deaf] = [await queue({ input: { listens: true } }), await queue()];
      const reasons: unknown[] = [];
      const agent = await start(
        async (task, context) => {
          context.signal.addEventListener('abort', () => reasons.push(context.signal.reason));
          if (!task.input.listens) await new Promise(() => undefined);
          await untilAborted(task, context);
        },
        { concurrency: 2 },
      );
      await works(agent, 2);

      await agent.stop();

      for (const task of [listening, deaf]) expect(await get(task)).toMatchObject({ status: 'pending', attempt: 0 });
      expect(reasons).toMatchObject([{ code: 'agent_stopping' }, { code: 'agent_stopping' }]);
      expect(agent.running).toBe(0);
      expect(reports).toEqual([]);
    });

    it('gives back what it was given while it stopped', async () => {
      let stopping: Promise<void> | undefined;
      const stopWhenLeased: typeof fetch = async (input, init) => {
        const response = await fetch(input, init);
        if ((input as Request).url.endsWith('/lease')) stopping = agent.stop();
        return response;
      };
      const task = await queue();
      const agent = await start(untilAborted, { fetch: stopWhenLeased });
      await eventually(() => expect(stopping).toBeDefined());

      await stopping;

      expect(await get(task)).toMatchObject({ status: 'pending', attempt: 0 });
    });

    it('does not wait for work first', async () => {
      const agent = await start(untilAborted);

      await agent.stop();

      expect(agent.running).toBe(0);
    });
  });

  it('ends when the server does not know it any more', async () => {
    const agent = await start(untilAborted);

    await server.delete(`/api/v1/agents/${type}`);
    // Wakes its long poll at once.
    await queue();

    await expect(agent.ended).rejects.toMatchObject({ status: 404, code: 'agent_not_found' });
  });
});
