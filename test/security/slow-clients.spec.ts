import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { HANGING_MS, sleep, within } from '../support/eventually.js';
import { makeAgent } from '../support/makers.js';
import { SocketClient } from '../support/socket-client.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const SHORT = { HTTP_HEADERS_TIMEOUT_SECONDS: 1, HTTP_REQUEST_TIMEOUT_SECONDS: 2, HTTP_IDLE_TIMEOUT_SECONDS: 4 };
const BODY = JSON.stringify({ title: 'x'.repeat(200) });
const POST = `POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n`;

describe('a client that takes its time', () => {
  let server: TestApp;
  let port: number;
  const sockets: Socket[] = [];

  beforeAll(async () => {
    server = await startTestApp({ isListening: true, environment: SHORT });
    port = Number(new URL(await server.listen()).port);
  });
  afterEach(() => sockets.splice(0).forEach((socket) => socket.destroy()));
  afterAll(() => server.close());

  const open = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  };

  /** All that comes until the server ends the connection. */
  const untilEnded = async (socket: Socket): Promise<string> => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await within(HANGING_MS, once(socket, 'close'));
    return text;
  };

  /** Some bytes at a time, until the server has had enough. */
  const drip = async (socket: Socket, text: string): Promise<void> => {
    for (let index = 0; index < text.length && socket.writable; index++) {
      socket.write(text[index]!);
      await sleep(100);
    }
  };

  const expectTooSlow = (answer: string): void => {
    const [head, body] = answer.split('\r\n\r\n') as [string, string];
    expect(head).toMatch(/^HTTP\/1.1 408 Request Timeout\r\n/);
    expect(head.toLowerCase()).toContain('content-type: application/problem+json');
    expect(head.toLowerCase()).toContain('connection: close');
    expect(JSON.parse(body)).toMatchObject({ status: 408, code: 'request_too_slow' });
  };

  it('says nothing: it is told so, and let go', async () => {
    expectTooSlow(await untilEnded(await open()));
  });

  it('stops in the middle of its headers', async () => {
    const socket = await open();
    socket.write('GET /api/v1/tasks HTTP/1.1\r\nHost: x\r\nX-Slow: ');

    expectTooSlow(await untilEnded(socket));
  });

  it('sends its headers byte by byte, for ever', async () => {
    const socket = await open();
    const ended = untilEnded(socket);

    await drip(socket, `GET /api/v1/tasks HTTP/1.1\r\nHost: x\r\nX-Slow: ${'x'.repeat(10_000)}`);

    expectTooSlow(await ended);
  });

  it('sends its body byte by byte', async () => {
    const socket = await open();
    const ended = untilEnded(socket);
    socket.write(POST);

    await drip(socket, BODY);

    expectTooSlow(await ended);
  });

  it('sends a body without an end', async () => {
    const socket = await open();
    const ended = untilEnded(socket);
    socket.write(POST.replace(/Content-Length: \d+/, 'Transfer-Encoding: chunked'));

    await drip(socket, '1\r\n \r\n'.repeat(1_000));

    expectTooSlow(await ended);
  });

  it('closes its side in the middle of its body', async () => {
    const socket = await open();
    const ended = untilEnded(socket);

    socket.end(POST + BODY.slice(0, 10));

    expect(await ended).not.toMatch(/^HTTP\/1.1 2/);
  });

  it('asks for more than it reads: it is let go, with what it had not read', async () => {
    const big = { title: 'x', description: 'x'.repeat(9_000), agent_type: 'nobody' };
    await Promise.all(Array.from({ length: 60 }, () => server.post('/api/v1/tasks', big)));
    const socket = await open();
    socket.pause();
    socket.write('GET /api/v1/tasks?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(40));

    await within(2 * HANGING_MS, untilNobodyIsConnected());
  });

  const untilNobodyIsConnected = async (): Promise<void> => {
    const count = () =>
      new Promise<number>((resolve) =>
        server.app.getHttpServer().getConnections((_: unknown, open: number) => resolve(open)),
      );
    while ((await count()) > 0) await sleep(50);
  };

  it('waits in a long poll, which lasts longer than a request may take to arrive', async () => {
    const agent = await makeAgent(server);
    const body = JSON.stringify({ agent_id: agent.id, wait_seconds: 3 });

    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/tasks/lease`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });

    expect([answer.status, await answer.json()]).toEqual([200, []]);
  });

  it.each(['websocket', 'polling'])('says nothing on a socket over %s, which lives by its pings', async (transport) => {
    const client = await SocketClient.connect(`http://127.0.0.1:${port}`, { transports: [transport] });

    await sleep((SHORT.HTTP_IDLE_TIMEOUT_SECONDS - 1) * 1000);
    await client.settle();

    expect(client.disconnected).toBeNull();
    client.close();
  });

  it('keeps nobody else waiting', async () => {
    const slow = await Promise.all(Array.from({ length: 200 }, open));
    for (const socket of slow) socket.write('GET / HTTP/1.1\r\nX-Slow: ');

    const answer = await within(HANGING_MS, fetch(`http://127.0.0.1:${port}/api/v1/tasks?limit=1`));

    expect(answer.status).toBe(200);
    for (const answer of await Promise.all(slow.map(untilEnded))) expectTooSlow(answer);
  });
});

describe('a request with too much before its body', () => {
  let server: TestApp;
  let url: string;

  beforeAll(async () => {
    server = await startTestApp({ isListening: true });
    url = await server.listen();
  });
  afterAll(() => server.close());

  const keys = (count: number) => Array.from({ length: count }, (_, index) => `k${index}=1`).join('&');

  it('has 100,000 parameters', async () => {
    const answer = await within(HANGING_MS, fetch(`${url}/api/v1/tasks?${keys(100_000)}`));

    expect(answer.status).toBe(431);
    expect(await answer.json()).toMatchObject({ code: 'headers_too_large' });
  });

  it.each([
    ['as many parameters as a URL can hold', keys(1_500)],
    ['more parameters than any list has', keys(101)],
    ['one parameter more often than any list has', 'status=pending&'.repeat(101)],
    ['as many as a URL can hold that are empty', '&a'.repeat(7_000)],
  ])('has %s', async (_what, query) => {
    const answer = await within(HANGING_MS, fetch(`${url}/api/v1/tasks?${query}`));

    expect(answer.status).toBe(422);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(await answer.json()).toMatchObject({ code: 'too_many_parameters', limit: 100 });
  });

  it('has more headers than any proxy adds', async () => {
    const headers = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`x-header-${index}`, '1']));

    const answer = await fetch(`${url}/api/v1/tasks`, { headers });

    expect(answer.status).toBe(431);
    expect(await answer.json()).toMatchObject({ code: 'too_many_headers', detail: expect.stringContaining('100') });
  });

  it('has fewer of both, and is answered', async () => {
    const headers = Object.fromEntries(Array.from({ length: 80 }, (_, index) => [`x-header-${index}`, '1']));

    expect((await fetch(`${url}/api/v1/tasks?${keys(100)}`, { headers })).status).toBe(200);
  });
});
