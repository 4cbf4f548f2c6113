import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '../src/platform/database/new-id.js';
import { UnitOfWork } from '../src/platform/database/unit-of-work.js';
import { EventTail } from '../src/platform/events/event-tail.js';
import type { LoggedEvent } from '../src/platform/events/logged-event.js';
import { isAfter } from '../src/platform/events/position.js';
import { Rooms } from '../src/platform/sockets/rooms.js';
import { eventually, sleep } from './support/eventually.js';
import { SocketClient } from './support/socket-client.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const LIMIT_BYTES = 262_144;
const MESSAGES_PER_SECOND = 10;
/** What the network itself holds on the loopback, at most, and what is told between two looks at the sockets. */
const MOST_BYTES = 64_000_000;

describe('a socket', () => {
  let server: TestApp;
  let url: string;
  let rooms: Rooms;
  let clients: SocketClient[] = [];

  beforeAll(async () => {
    server = await startTestApp({
      isListening: true,
      environment: { SOCKET_MESSAGES_PER_SECOND: MESSAGES_PER_SECOND, SOCKET_BUFFER_LIMIT_BYTES: LIMIT_BYTES },
    });
    url = await server.listen();
    rooms = server.app.get(Rooms);
  });
  afterEach(() => {
    for (const client of clients) client.close();
    clients = [];
  });
  afterAll(() => server.close());

  async function connect(options?: Parameters<typeof SocketClient.connect>[1]): Promise<SocketClient> {
    const client = await SocketClient.connect(url, options);
    clients.push(client);
    return client;
  }

  const refusals = (answers: { code?: string }[]) => answers.filter(({ code }) => code === 'too_many_messages');

  it.each(['websocket', 'polling'] as const)(
    'that sends more than 64 KiB at once by %s is disconnected',
    async (transport) => {
      const [client, other] = [await connect({ transports: [transport] }), await connect()];

      client.socket.emit('ping', 'x'.repeat(70_000));

      await client.untilDisconnected();
      await other.settle();
    },
  );

  it('may send just less than that', async () => {
    const client = await connect();

    expect(await client.send('ping', 'x'.repeat(65_000))).toEqual({ timestamp: expect.any(String) });
  });

  it('that sends too fast is told so, and may go on when it has slowed down', async () => {
    const client = await connect();

    const answers = await Promise.all(Array.from({ length: 200 }, () => client.send('ping')));

    expect(refusals(answers).length).toBeGreaterThanOrEqual(200 - 3 * MESSAGES_PER_SECOND);
    expect(answers.length - refusals(answers).length).toBeGreaterThanOrEqual(2 * MESSAGES_PER_SECOND);
    expect(refusals(answers)[0]).toMatchObject({
      status: 429,
      instance: 'ping',
      detail: expect.stringContaining('slow down'),
    });
    await eventually(async () => expect(await client.send('ping')).toEqual({ timestamp: expect.any(String) }));
  });

  it('that floods harms no other', async () => {
    const [flooding, calm] = [await connect(), await connect()];

    for (let index = 0; index < 5_000; index++) flooding.socket.emit('join_room', { room: 'dashboard' });

    expect(await calm.join('tasks')).toMatchObject({ room: 'tasks' });
    await eventually(() => expect(refusals(flooding.payloads('error')).length).toBeGreaterThan(4_000));
  });

  describe('that does not read', () => {
    const event = {
      project_id: null,
      agent_id: null,
      task_id: newId(),
      workflow_id: null,
      run_id: null,
      txid: '1',
      seq: '1',
    };
    const tell = (index: number) =>
      rooms.tell(['tasks'], 'task_noted', event as unknown as LoggedEvent, { index, text: 'x'.repeat(50_000) });

    it('is disconnected before much waits for it; others get everything', async () => {
      const [slow, reading] = [await connect(), await connect()];
      await Promise.all([slow.join('tasks'), reading.join('tasks')]);
      slow.stopReading();

      let told = 0;
      for (; rooms.socketCount > 1 && told * 50_000 < MOST_BYTES; told++) {
        tell(told);
        while (reading.received.length < told) await sleep(1);
      }

      expect(rooms.socketCount).toBe(1);
      await eventually(() => expect(reading.received).toHaveLength(told));
      expect(reading.disconnected).toBeNull();
    });

    it('is disconnected also when it only polls, and then stops', async () => {
      const slow = await connect({ transports: ['polling'] });
      await slow.join('tasks');
      // The transport's own method, which asks for more after each answer.
      Object.assign(slow.socket.io.engine.transport, { _poll: () => undefined });

      let told = 0;
      for (; rooms.socketCount > 0 && told * 50_000 < MOST_BYTES; told++) {
        tell(told);
        await sleep(2);
      }

      expect(rooms.socketCount).toBe(0);
    });

    it('is disconnected also when it is answers that wait for it', async () => {
      const slow = await connect();
      slow.stopReading();

      const flood = async (): Promise<void> => {
        for (let index = 0; index < 500; index++) slow.socket.emit('join_room', { room: 'x'.repeat(200) });
        await sleep(5);
        expect(rooms.socketCount).toBe(0);
      };

      await eventually(flood, 25_000);
    });
  });

  it('that catches up with much more than the limit gets it all, as fast as it reads', async () => {
    const task_id = newId();
    const { position } = await (await connect()).join(`task:${task_id}`);
    for (let unit = 0; unit < 20; unit++) {
      await server.app.get(UnitOfWork).run(async (tx) => {
        for (let index = 0; index < 20; index++)
          tx.record({ type: 'task_noted', task_id, text: 'x'.repeat(20_000) } as never);
      });
    }
    const last = (await server.events({ task_id })).at(-1)!;
    await eventually(() => expect(isAfter(last, server.app.get(EventTail).position)).toBe(false));
    const client = await connect();

    await client.join(`task:${task_id}`, position);

    expect(client.payloads('task_noted')).toHaveLength(400);
    expect(client.disconnected).toBeNull();
  });
});
