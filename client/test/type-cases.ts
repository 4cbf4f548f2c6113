/** What the compiler must accept and refuse. Compiled by types.spec.ts against the built package, never run. */
import {
  createClient,
  type DataOf,
  FlightdeckAgent,
  type FlightdeckError,
  type FlightdeckEvent,
  type ItemOf,
  type Run,
  type Task,
} from '@flightdeck/client';
import { expectTypeOf } from 'vitest';

const client = createClient({ url: 'http://localhost:8000', token: 'secret', retries: 3 });
const byId = { params: { path: { id: 'x' } } };

export async function answers(): Promise<void> {
  expectTypeOf(await client.post('/api/v1/tasks', { body: { title: 'Write' } })).toEqualTypeOf<Task>();
  expectTypeOf(await client.get('/api/v1/tasks')).toEqualTypeOf<Task[]>();
  expectTypeOf((await client.get('/api/tasks')).items).toEqualTypeOf<Task[]>();
  expectTypeOf(await client.delete('/api/v1/agents/{id}', byId)).toEqualTypeOf<void>();
  expectTypeOf((await client.post('/api/v1/workflows/{id}/execute', { ...byId, body: {} })).run).toEqualTypeOf<Run>();
  expectTypeOf<DataOf<'/api/v1/runs/{id}', 'get'>>().toEqualTypeOf<Run>();
  expectTypeOf<ItemOf<'/api/tasks'>>().toEqualTypeOf<Task>();
  for await (const task of client.list('/api/v1/tasks', { params: { query: { limit: 10 } } })) {
    expectTypeOf(task).toEqualTypeOf<Task>();
  }
}

export async function requests(): Promise<void> {
  await client.post('/api/v1/runs/{id}/cancel', { ...byId, retries: 0, idempotencyKey: 'once' });
  await client.get('/health/ready', { signal: AbortSignal.timeout(1_000), timeoutMs: 100 });

  // @ts-expect-error no such path
  await client.get('/api/v1/nothing');
  // @ts-expect-error no such method there
  await client.put('/api/v1/tasks', {});
  // @ts-expect-error the id is missing
  await client.get('/api/v1/tasks/{id}');
  // @ts-expect-error no such field
  await client.post('/api/v1/tasks', { body: { tittle: 'Write' } });
  // @ts-expect-error no such value
  await client.post('/api/v1/tasks', { body: { title: 'Write', priority: 'soon' } });
  // @ts-expect-error no such filter
  await client.get('/api/v1/tasks', { params: { query: { stauts: 'pending' } } });
  // @ts-expect-error no list
  client.list('/api/v1/tasks/{id}', byId);
}

export function agents(): void {
  const agent = new FlightdeckAgent({
    url: 'http://localhost:8000',
    key: 'ada',
    type: 'writer',
    profile: { name: 'Ada', capabilities: ['haiku'] },
    handler: (task, { signal, progress }) => {
      expectTypeOf(task).toEqualTypeOf<Task>();
      expectTypeOf(task.input).toEqualTypeOf<Record<string, unknown>>();
      expectTypeOf(task.output).toEqualTypeOf<unknown>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      progress(50);
    },
    onReport: (report) => {
      if (report.kind === 'result_refused') expectTypeOf(report.error).toEqualTypeOf<FlightdeckError>();
    },
  });
  expectTypeOf(agent.run()).toEqualTypeOf<Promise<void>>();

  // @ts-expect-error an agent has a handler
  void new FlightdeckAgent({ url: 'http://localhost:8000', key: 'ada', type: 'writer' });
  // @ts-expect-error the profile is the server's
  void new FlightdeckAgent({ url: '', key: 'ada', type: 'writer', handler: () => null, profile: { colour: 'red' } });
}

export function watching(): void {
  const watch = client.watch(['tasks'], {
    since: 'position',
    onEvent: (event) => expectTypeOf(event).toEqualTypeOf<FlightdeckEvent>(),
  });
  expectTypeOf(watch.position).toEqualTypeOf<string | undefined>();

  // @ts-expect-error somebody must listen
  client.watch('tasks', {});
}
