import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { Opcode, RawSocket } from '../support/raw-socket.js';
import { ServerProcess } from '../support/server-process.js';
import { SocketClient } from '../support/socket-client.js';

const FOREIGN = ['http://evil.example', 'null', 'file://', 'http://127.0.0.1:1', 'https://127.0.0.1.evil.example', 'x'];

// A process of its own: an exception that nobody catches ends it, and the test sees that.
describe('a hostile socket', () => {
  let server: ServerProcess;
  let witness: SocketClient;
  const opened: { close(): void }[] = [];

  beforeAll(async () => {
    server = await ServerProcess.prepare({ SOCKET_MESSAGES_PER_SECOND: '100', LOG_LEVEL: 'warning' });
    await server.start();
    witness = await SocketClient.connect(server.url);
  }, 120_000);
  afterEach(async () => {
    for (const socket of opened.splice(0)) socket.close();
    await expectService();
  });
  afterAll(async () => {
    witness?.close();
    await server.dispose();
  });

  /** Whatever was done: who is there is still served, and others may come. */
  async function expectService(): Promise<void> {
    expect([server.hasEnded, server.output]).toEqual([false, server.output]);
    expect(await witness.send('ping')).toEqual({ timestamp: expect.any(String) });
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    expect(server.output).not.toMatch(/Error|Unhandled|Uncaught/);
  }

  async function join(): Promise<RawSocket> {
    const raw = await RawSocket.join(server.url);
    opened.push(raw);
    return raw;
  }

  describe('that sends no proper frames is disconnected', () => {
    const frames: [string, (raw: RawSocket) => void][] = [
      ['garbage', (raw) => raw.sendBytes(Buffer.from('GET / HTTP/1.1\r\n\r\n'))],
      ['an unmasked frame', (raw) => raw.sendFrame({ opcode: Opcode.Text, is_masked: false }, Buffer.from('2'))],
      ['an unknown opcode', (raw) => raw.sendFrame({ opcode: 7 }, Buffer.from('2'))],
      ['reserved bits', (raw) => raw.sendFrame({ opcode: Opcode.Text, reserved: 7 }, Buffer.from('2'))],
      ['text that is not UTF-8', (raw) => raw.sendFrame({ opcode: Opcode.Text }, Buffer.from([0x34, 0xff, 0xfe]))],
      ['a continuation of nothing', (raw) => raw.sendFrame({ opcode: Opcode.Continuation }, Buffer.from('2'))],
      ['a ping in two parts', (raw) => raw.sendFrame({ opcode: Opcode.Ping, is_final: false }, Buffer.from('x'))],
      ['a ping that is too long', (raw) => raw.sendFrame({ opcode: Opcode.Ping }, Buffer.alloc(126))],
      ['a close with half a code', (raw) => raw.sendFrame({ opcode: Opcode.Close }, Buffer.from([3]))],
      ['a close with a forbidden code', (raw) => raw.sendFrame({ opcode: Opcode.Close }, Buffer.from([3, 237]))],
      [
        'a frame that says it is 2^62 bytes long',
        (raw) => raw.sendFrame({ opcode: Opcode.Text, claimed_length: 2n ** 62n }, Buffer.from('42["ping"]')),
      ],
      [
        'a message that grows beyond the limit in small parts',
        (raw) => {
          raw.sendFrame({ opcode: Opcode.Text, is_final: false }, Buffer.from('42["ping","'));
          for (let part = 0; part < 100; part++)
            raw.sendFrame({ opcode: Opcode.Continuation, is_final: false }, Buffer.alloc(1_000, 'x'));
        },
      ],
    ];

    it.each(frames)('%s', async (_what, send) => {
      const raw = await join();

      send(raw);

      await raw.untilClosed();
    });
  });

  describe('that sends no proper packets is disconnected', () => {
    it.each([
      ['an unknown type of engine.io', '9'],
      ['nothing at all', ''],
      ['an unknown type of socket.io', '49["ping"]'],
      ['a message that is not JSON', '42[broken'],
      ['a message that is an object', '42{"0":"ping"}'],
      ['a message without a name', '42[]'],
      ['a name that is an object', '42[{"toString":"ping"}]'],
      ['a name that is a list', '42[["ping"]]'],
      ['a name that is null', '42[null]'],
      ['a name that the library keeps to itself', '42["disconnect","x"]'],
      ['another such name', '42["newListener","ping"]'],
      ['an error from a client', '44{"message":"x"}'],
      ['a namespace for the second time', '40{}'],
      ['a namespace that nobody joined', '42/admin,["ping"]'],
      ['credentials that are no object', '40/admin,"x"'],
      ['more attachments than allowed', '45999999-["ping",{"_placeholder":true,"num":0}]'],
      ['attachments that are no number', '45x-["ping"]'],
      ['attachments without an end', '45'],
    ])('%s', async (_what, packet) => {
      const raw = await join();

      raw.sendText(packet);

      await raw.untilClosed();
    });

    it('binary data that no message announced', async () => {
      const raw = await join();

      raw.sendFrame({ opcode: Opcode.Binary }, Buffer.from([1, 2, 3]));

      await raw.untilClosed();
    });

    it('text where binary data was announced', async () => {
      const raw = await join();

      raw.sendText('451-["ping",{"_placeholder":true,"num":0}]');
      raw.sendText('42["ping"]');

      await raw.untilClosed();
    });

    it('an attachment that names a method instead of a number', async () => {
      const raw = await join();

      raw.sendText('451-["ping",{"_placeholder":true,"num":"splice"}]');
      raw.sendFrame({ opcode: Opcode.Binary }, Buffer.from([1]));

      await raw.untilClosed();
    });
  });

  describe('that names what does not exist is told so', () => {
    it.each([
      '__proto__',
      'constructor',
      'prototype',
      'hasOwnProperty',
      'toString',
      'error',
      'join',
      'emit',
      'onevent',
      '',
      '\u0000',
      '\r\nlog line\u001b[31m',
      'x'.repeat(60_000),
    ])('message %j', async (name) => {
      const raw = await join();

      raw.sendText(`427${JSON.stringify([name, { room: 'tasks' }])}`);

      await raw.until('437[{');
      expect(raw.received).toContain('"code":"unknown_message"');
    });

    it('a message whose name is a number', async () => {
      const raw = await join();

      raw.sendText('427[5]');
      raw.sendText('428[-1e400,{}]');

      await raw.until('437[{');
      await raw.until('438[{');
    });

    it.each(['/admin', '/__proto__', '/../', '/tasks?token=x', `/${'x'.repeat(60_000)}`])(
      'namespace %s',
      async (namespace) => {
        const raw = await RawSocket.open(server.url);
        opened.push(raw);
        await raw.until('"sid"');

        raw.sendText(`40${namespace},{}`);

        await raw.until('{"message":"Invalid namespace"}');
      },
    );
  });

  it.each([
    ['nothing', ''],
    ['null', ',null'],
    ['a text', ',"tasks"'],
    ['a number', ',5'],
    ['a list', ',["tasks"]'],
    ['several values', ',{"room":"tasks"},{"room":"agents"}'],
    ['a room that is a list', ',{"room":["tasks"]}'],
    ['a room that is an object', ',{"room":{"toString":"tasks"}}'],
    ['only a prototype', ',{"__proto__":{"room":"tasks"}}'],
    ['only a constructor', ',{"constructor":{"prototype":{"room":"tasks"}}}'],
    ['SQL', `,{"room":"agent:x'; DROP TABLE agents; --"}`],
    ['NUL', String.raw`,{"room":"task:\u0000"}`],
    ['half a surrogate pair', String.raw`,{"room":"agent:a\ud800"}`],
    ['the room of another socket', ',{"room":"~catching_up"}'],
    ['a position of another kind', ',{"room":"tasks","since":{"$gt":""}}'],
    ['a position with SQL', `,{"room":"tasks","since":"${Buffer.from("1.1' OR 1=1").toString('base64url')}"}`],
    [
      'a position beyond all numbers',
      `,{"room":"tasks","since":"${Buffer.from(`${'9'.repeat(20)}.1`).toString('base64url')}"}`,
    ],
    ['a deep payload', `,${'['.repeat(10_000)}${']'.repeat(10_000)}`],
  ])('that asks for a room with %s is refused with a problem document', async (_what, payload) => {
    const raw = await join();

    raw.sendText(`427["join_room"${payload}]`);

    await raw.until('437[{');
    expect(raw.received).toMatch(/437\[\{.*"status":422,"code":"invalid_input"/);
  });

  it('that sends attachments where text belongs is refused', async () => {
    const raw = await join();

    raw.sendText('451-7["join_room",{"room":{"_placeholder":true,"num":0}}]');
    raw.sendFrame({ opcode: Opcode.Binary }, Buffer.from('tasks'));

    await raw.until('437[{');
    expect(raw.received).toContain('"code":"invalid_input"');
  });

  it('that asks for answers under impossible numbers harms nobody', async () => {
    const raw = await join();

    for (const id of ['9'.repeat(300), '00000000', '9007199254740993']) raw.sendText(`42${id}["ping"]`);
    // Answers to questions that were never asked.
    for (let id = 0; id < 1_000; id++) raw.sendText(`43${id}["x"]`);
    raw.sendText('4277["ping"]');

    await raw.until('4377[{');
  });

  it('that floods with half messages, joins and leaves harms nobody', async () => {
    const sockets = await Promise.all(Array.from({ length: 10 }, join));

    for (const raw of sockets) {
      for (let index = 0; index < 1_000; index++) {
        raw.sendText('42["join_room",{"room":"tasks"}]');
        raw.sendText(`42${index}["nonsense"]`);
        raw.sendFrame({ opcode: Opcode.Ping }, Buffer.alloc(0));
      }
    }

    await eventually(() => {
      for (const { received, isClosed } of sockets)
        expect(isClosed || received.includes('too_many_messages')).toBe(true);
    });
  });

  it('that upgrades and then says nothing does not keep others out', async () => {
    const silent = await Promise.all(Array.from({ length: 200 }, () => RawSocket.open(server.url)));
    opened.push(...silent);

    expect(silent.map(({ status }) => status)).toEqual(silent.map(() => 101));
    const other = await SocketClient.connect(server.url);
    opened.push(other);
    expect(await other.join('tasks')).toMatchObject({ room: 'tasks' });
  });

  describe('of a page of another site', () => {
    it.each(FOREIGN)('opens no WebSocket: %s', async (Origin) => {
      const raw = await RawSocket.open(server.url, { Origin });
      opened.push(raw);

      // So says the library whenever it refuses an upgrade.
      expect(raw.status).toBe(400);
      await raw.untilClosed();
      expect(raw.received).not.toContain('"sid"');
    });

    it.each(FOREIGN)('gets no session by polling: %s', async (Origin) => {
      const answer = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`, { headers: { Origin } });

      expect(answer.status).toBe(403);
      expect(await answer.text()).not.toContain('"sid"');
      expect(answer.headers.get('access-control-allow-origin')).not.toBe(Origin);
    });

    it.each(FOREIGN)('takes over no session that another page opened: %s', async (Origin) => {
      const opening = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`);
      const { sid } = JSON.parse((await opening.text()).slice(1)) as { sid: string };
      const session = `EIO=4&transport=polling&sid=${sid}`;

      const sent = await fetch(`${server.url}/socket.io/?${session}`, {
        method: 'POST',
        body: '40',
        headers: { Origin },
      });
      const upgraded = await RawSocket.open(server.url, { Origin }, `/socket.io/?sid=${sid}&`);
      opened.push(upgraded);

      expect(sent.status).toBe(400);
      expect(upgraded.status).toBe(400);
      // Its owner goes on.
      expect((await fetch(`${server.url}/socket.io/?${session}`, { method: 'POST', body: '40' })).status).toBe(200);
    });

    it('is told apart by all of its Origin: this very server is welcome', async () => {
      const own = await RawSocket.open(server.url, { Origin: server.url });
      opened.push(own);

      expect(own.status).toBe(101);
    });

    it('may not send two Origins', async () => {
      const raw = await RawSocket.open(server.url, { Origin: `${server.url}\r\nOrigin: http://evil.example` });
      opened.push(raw);

      expect(raw.status).not.toBe(101);
    });
  });

  it.each([
    ['an unknown transport', 'EIO=4&transport=carrier-pigeon'],
    ['an inherited transport', 'EIO=4&transport=constructor'],
    ['a prototype', 'EIO=4&transport=__proto__'],
    ['an unknown session', 'EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA'],
    ['an inherited session', 'EIO=4&transport=polling&sid=__proto__'],
    ['an old protocol', 'EIO=2&transport=polling'],
    ['two transports', 'EIO=4&transport=polling&transport=websocket'],
    ['no protocol', ''],
  ])('that asks for %s is refused', async (_what, query) => {
    const answer = await fetch(`${server.url}/socket.io/?${query}`);

    expect(answer.status).toBe(400);
  });

  it.each([
    ['a packet of no type', 'x'],
    ['separators only', '\u001e\u001e\u001e'],
    ['broken base64', 'b!!!!'],
    ['many packets in one body', `42["ping"]\u001e`.repeat(5_000)],
    ['a body that is too large', 'x'.repeat(70_000)],
  ])('that posts %s harms nobody', async (_what, body) => {
    const opening = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`);
    const { sid } = JSON.parse((await opening.text()).slice(1)) as { sid: string };
    const session = `${server.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;

    const answer = await fetch(session, { method: 'POST', body });

    expect([200, 400, 413]).toContain(answer.status);
  });
});
