import { createClient, FlightdeckAgent, type FlightdeckEvent } from '@flightdeck/client';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { eventually } from '../../test/support/eventually.js';
import { ServerProcess } from '../../test/support/server-process.js';

// Real processes start and are killed here.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const TASKS = 40;

let server: ServerProcess;
beforeEach(async () => {
  server = await ServerProcess.prepare();
  await server.start();
});
afterEach(() => server.dispose());

it('a server that is killed in the middle loses nothing for a client, an agent and a watch', async () => {
  const client = createClient({ url: server.url, retries: Infinity });
  const heard: FlightdeckEvent[] = [];
  const watch = client.watch('tasks', { onEvent: (event) => heard.push(event) });
  onTestFinished(() => watch.close());
  await watch.ready;
  const agent = new FlightdeckAgent({
    url: server.url,
    key: 'ada',
    type: 'writer',
    concurrency: 4,
    onReport: () => undefined,
    handler: async ({ input }, { progress }) => {
      progress(50);
      await new Promise((resolve) => setTimeout(resolve, 20));
      return input.number;
    },
  });
  onTestFinished(() => agent.stop());
  await agent.start();

  const creating = (async () => {
    for (let number = 0; number < TASKS; number++) {
      await client.post('/api/v1/tasks', { body: { title: `${number}`, agent_type: 'writer', input: { number } } });
    }
  })();
  await eventually(() => expect(heard.filter(({ type }) => type === 'task_completed').length).toBeGreaterThan(5));
  await server.signal('SIGKILL');
  await server.start();
  await creating;

  const completed = () => heard.filter(({ type }) => type === 'task_completed').map(({ task_id }) => task_id);
  await eventually(() => expect(new Set(completed()).size).toBe(TASKS), 60_000);
  expect(completed()).toHaveLength(TASKS);
  expect(heard.filter(({ type }) => type === 'task_created').map(({ data }) => data.title)).toEqual(
    Array.from({ length: TASKS }, (_, number) => `${number}`),
  );
  const messages = heard.map(({ type, position }) => `${type} ${position}`);
  expect(new Set(messages).size).toBe(messages.length);
  const tasks = await client.get('/api/v1/tasks', { params: { query: { limit: 1000 } } });
  expect(tasks).toHaveLength(TASKS);
  for (const { status, output, input } of tasks) expect([status, output]).toEqual(['completed', input.number]);
});
