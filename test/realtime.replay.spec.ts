import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { createApp } from '../src/app.setup.js';
import { DatabasePool } from '../src/platform/database/database-pool.js';
import { newId } from '../src/platform/database/new-id.js';
import { UnitOfWork } from '../src/platform/database/unit-of-work.js';
import { EventLog } from '../src/platform/events/event-log.js';
import { encodePosition } from '../src/platform/events/position.js';
import { eventually } from './support/eventually.js';
import { SocketClient } from './support/socket-client.js';
import { startTestApp, TestApp } from './support/test-app.js';

describe('a socket that comes back', () => {
  let server: TestApp;
  let url: string;
  let task_id: string;
  let project_id: string;
  let clients: SocketClient[] = [];

  beforeAll(async () => {
    server = await startTestApp({ isListening: true });
    url = await server.listen();
  });
  beforeEach(() => {
    task_id = newId();
    project_id = newId();
  });
  afterEach(() => {
    for (const client of clients) client.close();
    clients = [];
  });
  afterAll(() => server.close());

  async function connect(to = url): Promise<SocketClient> {
    const client = await SocketClient.connect(to);
    clients.push(client);
    return client;
  }

  /** Several writers at once, each in transactions of five events. */
  const write = (count: number, fields: object = { task_id, project_id }, writers = 5) =>
    Promise.all(
      Array.from({ length: writers }, async () => {
        for (let unit = 0; unit < count / writers / 5; unit++) {
          await server.app.get(UnitOfWork).run(async (tx) => {
            for (let index = 0; index < 5; index++) tx.record({ type: 'task_noted', ...fields });
          });
        }
      }),
    );
  const positionsOf = (client: SocketClient) => client.payloads('task_noted').map(({ position }) => position as string);
  const logged = async (subject: { task_id: string } | { project_id: string }) =>
    (await server.events(subject)).map((event) => encodePosition(event));

  const receives = (client: SocketClient, positions: string[]) =>
    eventually(() => expect(positionsOf(client)).toEqual(positions));

  it('gets all that it missed, in order, and then what happens, none twice, none left out', async () => {
    const watcher = await connect();
    const { position } = await watcher.join(`task:${task_id}`);
    await write(500);
    await eventually(() => expect(positionsOf(watcher)).toHaveLength(500));
    const client = await connect();

    const answer = await client.join(`task:${task_id}`, position);
    const missed = positionsOf(client);
    await write(50);

    const all = await logged({ task_id });
    expect(answer).toEqual({ room: `task:${task_id}`, members: expect.any(Number), position: expect.any(String) });
    expect(missed).toEqual(all.slice(0, 500));
    await eventually(() => expect(positionsOf(client)).toHaveLength(550));
    expect(positionsOf(client)).toEqual(all);
  });

  it('misses nothing of what is written while it catches up', async () => {
    const { position } = await (await connect()).join(`task:${task_id}`);
    await write(500);
    const writing = write(2_000);
    const readers = await Promise.all(Array.from({ length: 5 }, () => connect()));

    await Promise.all(readers.map((reader) => reader.join(`task:${task_id}`, position)));
    await writing;

    const all = await logged({ task_id });
    expect(all).toHaveLength(2_500);
    for (const reader of readers) {
      await eventually(() => expect(positionsOf(reader)).toHaveLength(2_500));
      expect(positionsOf(reader)).toEqual(all);
    }
  });

  it('gets an event once and in its place when it comes back to two rooms that share events', async () => {
    const { position } = await (await connect()).join('tasks');
    await write(200);
    await write(50, { task_id: newId(), project_id });
    await write(50, { task_id, project_id: newId() });
    const writing = write(500);
    const client = await connect();

    await Promise.all([client.join(`task:${task_id}`, position), client.join(`project:${project_id}`, position)]);
    await writing;
    const room = new Set([...(await logged({ task_id })), ...(await logged({ project_id }))]);
    await eventually(() => expect(positionsOf(client)).toHaveLength(room.size));

    expect(room.size).toBe(800);
    expect(new Set(positionsOf(client))).toEqual(room);
    const ofTask = client.payloads('task_noted').filter((event) => event.task_id === task_id);
    expect(ofTask.map((event) => event.position as string)).toEqual(await logged({ task_id }));
  });

  it('hears a room that it is in, in order, while it catches up with another', async () => {
    const other_task = newId();
    const { position } = await (await connect()).join('tasks');
    await write(500, { task_id: other_task, project_id });
    const client = await connect();
    await client.join(`task:${task_id}`);

    const writing = write(500);
    await client.join(`project:${project_id}`, position);
    await writing;

    await eventually(() => expect(positionsOf(client)).toHaveLength(1_000));
    const received = (id: string) => client.payloads('task_noted').filter((event) => event.task_id === id);
    expect(received(task_id).map((event) => event.position as string)).toEqual(await logged({ task_id }));
    expect(received(other_task).map((event) => event.position as string)).toEqual(
      await logged({ task_id: other_task }),
    );
  });

  it('gets nothing again when it joins a room that it is in', async () => {
    const client = await connect();
    const { position } = await client.join(`task:${task_id}`);
    await write(25);
    await eventually(() => expect(positionsOf(client)).toHaveLength(25));

    const half = positionsOf(client)[12];
    await client.join(`task:${task_id}`, half);
    await client.join(`project:${project_id}`, position);
    await client.join(`task:${task_id}`, position);

    await client.settle();
    expect(positionsOf(client)).toEqual(await logged({ task_id }));
  });

  it('gets what it missed in between when it had left', async () => {
    const client = await connect();
    await client.join(`task:${task_id}`);
    await write(25);
    await eventually(() => expect(positionsOf(client)).toHaveLength(25));
    const { position } = await client.leave(`task:${task_id}`);
    await write(25);

    await client.join(`task:${task_id}`, position);

    await receives(client, await logged({ task_id }));
  });

  it('gets the extra event of a changed status again, too', async () => {
    const { position } = await (await connect()).join('tasks');
    const { body: task } = await server.post('/api/v1/tasks', { title: 'Write' });
    await server.post(`/api/v1/tasks/${task.id}/cancel`);
    const client = await connect();

    await client.join(`task:${task.id}`, position);

    await eventually(() =>
      expect(client.received.map(({ name }) => name)).toEqual([
        'task_created',
        'task_cancelled',
        'task_status_updated',
      ]),
    );
  });

  it('is told of the gap when a part that it missed was forgotten, and does not join', async () => {
    const { position } = await (await connect()).join('tasks');
    await write(25);
    const events = await server.events({ task_id });
    await server.app.get(EventLog).forget(events[9]!);
    const client = await connect();

    const answer = await client.join(`task:${task_id}`, position);
    expect(answer).toEqual({ room: `task:${task_id}`, gap: true, oldest: encodePosition(events[9]!) });
    expect(client.received).toEqual([]);

    const again = await client.join(`task:${task_id}`, answer.oldest);
    expect(again).toMatchObject({ position: expect.any(String) });
    await receives(
      client,
      events.slice(10).map((event) => encodePosition(event)),
    );
  });

  it('is refused with a position that the log has not reached: what it missed since cannot be told', async () => {
    const client = await connect();
    const { txid } = await server.app.get(EventLog).frontier();

    const answer = await client.join(
      `task:${task_id}`,
      encodePosition({ txid: String(BigInt(txid) + 1_000_000n), seq: '1' }),
    );

    expect(answer).toMatchObject({
      status: 422,
      code: 'invalid_input',
      errors: [{ pointer: '/since', detail: 'is not a position that this server gave' }],
    });
  });

  it('may begin where any event is that it has seen, also one that the tail has not told yet', async () => {
    const client = await connect();
    await write(25);
    const [newest] = (await server.events({ task_id })).slice(-1);

    expect(await client.join(`task:${task_id}`, encodePosition(newest!))).toMatchObject({
      position: expect.any(String),
    });
  });

  describe('to another server on the same database', () => {
    it('catches up there, though nothing happened since that one started', async () => {
      const { position } = await (await connect()).join('tasks');
      await write(25);
      const other = await startNode();

      const client = await connect(await other.listen());
      const first = await client.join(`task:${task_id}`, position);
      await receives(client, await logged({ task_id }));
      const again = await (await connect(await other.app.getUrl())).join(`task:${task_id}`, first.position);
      await other.close();

      expect(again).toMatchObject({ room: `task:${task_id}` });
    });

    it.skipIf(!inject('template'))('gets nothing twice, though that one may be behind', async () => {
      const other = await startNode();
      const there = await other.listen();
      const client = await connect();
      await client.join(`task:${task_id}`);
      let hasArrived = false;
      const writing = (async () => {
        while (!hasArrived) await write(25);
      })();

      const hops: SocketClient[] = [client];
      for (let hop = 0; hop < 10; hop++) {
        const before = hops.at(-1)!;
        await eventually(() => expect(before.received.length).toBeGreaterThan(0));
        before.close();
        const next = await connect(hop % 2 === 0 ? there : url);
        hops.push(next);
        await next.join(`task:${task_id}`, positionsOf(before).at(-1));
      }
      hasArrived = true;
      await writing;

      const all = await logged({ task_id });
      await eventually(() => expect(hops.flatMap(positionsOf).at(-1)).toBe(all.at(-1)));
      expect(hops.flatMap(positionsOf)).toEqual(all);
      await other.close();
    });

    async function startNode(): Promise<TestApp> {
      const shared = server.app.get(DatabasePool);
      const own = shared.embedded ? shared : await DatabasePool.open(server.environment);
      const app = await createApp(server.environment, own);
      return new TestApp(app, server.environment, async () => {
        if (own !== shared) await own.close();
      });
    }
  });
});
