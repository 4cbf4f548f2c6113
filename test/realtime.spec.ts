import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newId } from '../src/platform/database/new-id.js';
import { UnitOfWork } from '../src/platform/database/unit-of-work.js';
import { EventTail } from '../src/platform/events/event-tail.js';
import { decodePosition } from '../src/platform/events/position.js';
import { eventually, HANGING_MS, within } from './support/eventually.js';
import { makeAgent } from './support/makers.js';
import { SocketClient } from './support/socket-client.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const SUBJECTS = { project_id: newId(), agent_id: newId(), task_id: newId(), workflow_id: newId(), run_id: newId() };

describe('a socket', () => {
  let server: TestApp;
  let url: string;
  let client: SocketClient;
  let clients: SocketClient[] = [];

  beforeAll(async () => {
    server = await startTestApp({
      isListening: true,
      environment: { CORS_ORIGINS: 'https://allowed.example', SOCKET_MESSAGES_PER_SECOND: 200 },
    });
    url = await server.listen();
  });
  beforeEach(async () => {
    client = await connect();
  });
  afterEach(() => {
    for (const each of clients) each.close();
    clients = [];
  });
  afterAll(() => server.close());

  async function connect(options?: Parameters<typeof SocketClient.connect>[1]): Promise<SocketClient> {
    const connected = await SocketClient.connect(url, options);
    clients.push(connected);
    return connected;
  }

  const record = (type: string, fields: object = {}) =>
    server.app.get(UnitOfWork).run(async (tx) => tx.record({ type, ...fields }));
  const connectedFrom = (origin: string) => connect({ extraHeaders: { origin } });

  describe('that joins a room', () => {
    it('is told who is there and where the log is', async () => {
      const other = await connect();
      const room = `task:${newId()}`;

      const first = await client.join(room);
      const second = await other.join(room);
      const left = await client.leave(room);

      expect(first).toEqual({ room, members: 1, position: expect.any(String) });
      expect(second).toEqual({ room, members: 2, position: expect.any(String) });
      expect(left).toEqual({ room, members: 1, position: expect.any(String) });
      expect(() => decodePosition(first.position, '')).not.toThrow();
    });

    it('gets events under their type, with exactly what the contract says', async () => {
      await client.join('tasks');

      await record('task_noted', { ...SUBJECTS, title: 'Write' });

      const [event] = await eventually(() => {
        expect(client.payloads('task_noted')).toHaveLength(1);
        return client.payloads('task_noted');
      });
      const [logged] = await server.events({ task_id: SUBJECTS.task_id });
      expect(event).toEqual({
        type: 'task_noted',
        data: { ...SUBJECTS, title: 'Write' },
        position: Buffer.from(`${logged!.txid}.${logged!.seq}`).toString('base64url'),
        timestamp: logged!.created_at.toISOString(),
        ...SUBJECTS,
      });
    });

    it.each([
      ['task_noted', 'tasks'],
      ['agent_noted', 'agents'],
      ['workflow_noted', 'workflows'],
      ['run_noted', 'workflows'],
      ['project_noted', 'projects'],
      ['task_noted', 'dashboard'],
      ['agent_noted', 'dashboard'],
      ['task_noted', `task:${SUBJECTS.task_id}`],
      ['task_noted', `agent:${SUBJECTS.agent_id}`],
      ['task_noted', `project:${SUBJECTS.project_id}`],
      ['task_noted', `workflow:${SUBJECTS.workflow_id}`],
      ['run_noted', `run:${SUBJECTS.run_id}`],
    ])('hears %s in %s', async (type, room) => {
      await client.join(room);

      await record(type, SUBJECTS);

      await eventually(() => expect(client.payloads(type)).toHaveLength(1));
    });

    it('gets an event once, however many of its rooms it is in', async () => {
      for (const room of ['tasks', 'dashboard', `task:${SUBJECTS.task_id}`, `project:${SUBJECTS.project_id}`]) {
        await client.join(room);
      }

      await record('task_noted', { ...SUBJECTS, title: 'once' });
      await record('task_noted', { ...SUBJECTS, title: 'last' });

      await eventually(() => expect(client.payloads('task_noted').at(-1)?.data.title).toBe('last'));
      expect(client.received).toHaveLength(2);
    });

    it('gets nothing of other rooms, and nothing after it left', async () => {
      const watcher = await connect();
      await watcher.join('dashboard');
      await client.join(`task:${newId()}`);
      await client.join('tasks');
      await client.leave('tasks');

      await record('task_noted', SUBJECTS);
      await eventually(() => expect(watcher.received).toHaveLength(1));
      await client.settle();

      expect(client.received).toEqual([]);
    });

    it('is out of it when it asks to join and to leave at once', async () => {
      void client.join('tasks');
      await client.leave('tasks');

      await record('task_noted', SUBJECTS);
      await server.app.get(EventTail).upToDate();
      await client.settle();

      expect(client.received).toEqual([]);
    });

    it('may call an agent by its key, and an id in capitals', async () => {
      const agent = await makeAgent(server, { key: 'Ada:1.x' });
      const room = `agent:${agent.id}`;

      const byKey = await client.join('agent:Ada:1.x');
      const byId = await client.join(room.toUpperCase().replace('AGENT', 'agent'));
      const ofTask = await client.join(`task:${SUBJECTS.task_id.toUpperCase()}`);
      await record('agent_noted', { ...SUBJECTS, agent_id: agent.id });

      expect([byKey.room, byId.room]).toEqual([room, room]);
      expect(ofTask.room).toBe(`task:${SUBJECTS.task_id}`);
      await eventually(() => expect(client.payloads('agent_noted')).toHaveLength(1));
      await client.leave(`task:${SUBJECTS.task_id}`);
      expect(await client.leave('agent:Ada:1.x')).toMatchObject({ room, members: 0 });
    });

    it('is told that nobody has the key', async () => {
      expect(await client.join('agent:nobody')).toMatchObject({ status: 404, code: 'agent_not_found' });
    });

    it.each([
      ['an unknown room', { room: 'kitchen' }, '/room'],
      ['a room with a malformed id', { room: 'task:7' }, '/room'],
      ["an agent's key that is none", { room: 'agent:a b' }, '/room'],
      ['a room of an unknown kind', { room: `user:${newId()}` }, '/room'],
      ['a room that is no text', { room: 7 }, '/room'],
      ['no room', {}, '/room'],
      ['a payload that is no object', 'tasks', ''],
      ['null', null, undefined],
      ['a garbled position', { room: 'tasks', since: 'garbled' }, '/since'],
      ['a position that is no text', { room: 'tasks', since: 7 }, '/since'],
    ])('is refused for %s, with a problem document', async (_what, payload, pointer) => {
      const answer = await client.send('join_room', payload);

      expect(answer).toMatchObject({
        status: 422,
        code: 'invalid_input',
        instance: 'join_room',
        detail: expect.any(String),
        errors: [{ pointer: pointer ?? expect.any(String), detail: expect.any(String) }],
      });
    });

    it('is refused without a payload, too', async () => {
      const answer = await client.socket.timeout(5_000).emitWithAck('join_room');

      expect(answer).toMatchObject({ status: 422, code: 'invalid_input' });
    });

    it('hears of a mistake as an event when it asked for no answer', async () => {
      client.socket.emit('join_room', { room: 'kitchen' });

      await eventually(() => expect(client.payloads('error')).toMatchObject([{ status: 422, code: 'invalid_input' }]));
    });
  });

  it('is answered when it pings, whatever it sends along', async () => {
    for (const payload of [undefined, null, 'x', { a: 1 }, [1, 2]]) {
      const { timestamp } = await client.send('ping', payload);
      expect(Math.abs(Date.parse(timestamp) - Date.now())).toBeLessThan(60_000);
    }
    expect(await client.socket.timeout(5_000).emitWithAck('ping')).toEqual({ timestamp: expect.any(String) });
  });

  it('may send messages that nobody knows', async () => {
    client.socket.emit('unheard_of', { a: 1 });

    await client.settle();
    expect(client.disconnected).toBeNull();
    expect(client.received).toEqual([]);
  });

  it.each([[undefined], [{ a: 1 }]])(
    'is told that nobody knows a message when it asks for an answer',
    async (payload) => {
      expect(await client.send('unheard_of', payload)).toMatchObject({
        status: 404,
        code: 'unknown_message',
        detail: 'There is no message unheard_of',
        instance: 'unheard_of',
      });
    },
  );

  describe('from a web page', () => {
    it('of a foreign origin is refused, on either transport', async () => {
      for (const transport of ['websocket', 'polling'] as const) {
        const connecting = connect({ transports: [transport], extraHeaders: { origin: 'https://evil.example' } });
        await expect(connecting).rejects.toThrow();
      }
      const answer = await fetch(`${url}/socket.io/?EIO=4&transport=polling`, {
        headers: { origin: 'https://evil.example' },
      });
      expect(answer.status).toBe(403);
    });

    it('of an allowed origin, or of this server, is let in', async () => {
      for (const origin of ['https://allowed.example', url]) {
        expect((await connectedFrom(origin)).socket.connected).toBe(true);
      }
    });

    it.each(['null', 'https://allowed.example.evil.example', 'https://allowed.example:8443', 'nonsense'])(
      'that says it is of %s is refused',
      async (origin) => {
        await expect(connectedFrom(origin)).rejects.toThrow();
      },
    );
  });

  it('may use polling', async () => {
    const polling = await connect({ transports: ['polling'] });
    await polling.join('tasks');

    await record('task_noted', SUBJECTS);

    await eventually(() => expect(polling.payloads('task_noted')).toHaveLength(1));
  });

  it('may begin with polling and go on with WebSocket', async () => {
    const upgrading = await connect({ transports: ['polling', 'websocket'] });
    await upgrading.join('tasks');
    await eventually(() => expect(upgrading.socket.io.engine.transport.name).toBe('websocket'));

    await record('task_noted', SUBJECTS);

    await eventually(() => expect(upgrading.payloads('task_noted')).toHaveLength(1));
  });
});

describe('a server that stops', () => {
  it('disconnects its sockets at once, on either transport', async () => {
    const server = await startTestApp({ isListening: true });
    const url = await server.listen();
    const clients = [
      await SocketClient.connect(url),
      await SocketClient.connect(url, { transports: ['polling'] }),
      await SocketClient.connect(url),
    ];
    await Promise.all(clients.map((client) => client.join('dashboard')));

    await within(HANGING_MS, server.close());

    await Promise.all(clients.map((client) => client.untilDisconnected(3_000)));
  });
});
