import { type DynamicModule, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { request as httpRequest } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Principal, Role } from '../../src/platform/access/principal.js';
import type { Environment } from '../../src/platform/config/environment.js';
import { currentContext } from '../../src/platform/context/request-context.js';
import { eventually } from '../support/eventually.js';
import { bearer, firstKey } from '../support/keys.js';
import { Nodes } from '../support/nodes.js';
import { RedisLine } from '../support/redis-line.js';
import { SocketClient } from '../support/socket-client.js';
import { type Answer, startTestApp, type TestApp } from '../support/test-app.js';

const READS = 5;
const WRITES = 3;
const LEASES = 4;
const PROXY = '127.0.0.1';
const REDIS_URL = process.env.TEST_REDIS_URL;

const LIMITS: Partial<Environment> = {
  ENABLE_RATE_LIMITING: true,
  RATE_LIMIT_READ_PER_MINUTE: READS,
  RATE_LIMIT_WRITE_PER_MINUTE: WRITES,
  REDIS_URL: '',
};

/** Takes a header for a credential, before the guards: what access finds out is not what is tested here. */
function principalsModule(): DynamicModule {
  @Injectable()
  class Principals implements OnModuleInit {
    constructor(private readonly host: HttpAdapterHost) {}

    onModuleInit(): void {
      this.host.httpAdapter.getInstance<FastifyInstance>().addHook('preHandler', (request, _reply, done) => {
        const id = request.headers['x-test-principal'];
        const principal: Principal = {
          kind: 'api_key',
          id: String(id),
          name: 'test',
          role: Role.Admin,
          project_id: null,
          agent_id: null,
          key_prefix: null,
          expires_at: null,
        };
        if (id !== undefined) currentContext().principal = principal;
        done();
      });
    }
  }
  return { module: class PrincipalsModule {}, providers: [Principals] };
}

const statuses = async (count: number, ask: () => Promise<Answer>): Promise<number[]> => {
  const all: number[] = [];
  for (let index = 0; index < count; index++) all.push((await ask()).status);
  return all;
};
const from = (address: string) => ({ 'x-forwarded-for': address });

describe('the limits of requests', () => {
  let server: TestApp;
  let tests = 0;
  /** Each test has one of its own. */
  let mine: Record<string, string>;

  beforeAll(async () => {
    const environment = { ...LIMITS, TRUST_PROXY: PROXY, RATE_LIMIT_LEASE_PER_MINUTE: LEASES };
    server = await startTestApp({ environment, extra: [principalsModule()] });
  });
  afterAll(() => server.close());
  beforeEach(() => {
    mine = from(`192.0.2.${++tests}`);
  });

  const as = (principal: string) => ({ 'x-test-principal': principal });
  const list = (headers: Record<string, string> = mine) => server.get('/api/v1/tasks', headers);
  const create = (fields: object) => server.post('/api/v1/tasks', fields, mine);
  const useUp = (headers: Record<string, string> = mine) => statuses(READS, () => list(headers));

  it('are told with every answer, and with the refusal', async () => {
    const first = await list();
    await statuses(READS - 1, list);
    const refused = await list();

    expect(first.status).toBe(200);
    expect(first.headers).toMatchObject({
      'ratelimit-policy': `"read";q=${READS};w=60`,
      ratelimit: expect.stringMatching(new RegExp(`^"read";r=${READS - 1};t=[1-9]\\d?$`)),
      'x-ratelimit-limit': String(READS),
      'x-ratelimit-remaining': String(READS - 1),
      'x-ratelimit-reset': expect.stringMatching(/^[1-9]\d?$/),
    });
    expect(first.headers['retry-after']).toBeUndefined();
    expect(refused.headers).toMatchObject({
      'content-type': 'application/problem+json',
      ratelimit: expect.stringMatching(/^"read";r=0;t=[1-9]\d?$/),
      'x-ratelimit-remaining': '0',
      'retry-after': refused.headers['x-ratelimit-reset'],
    });
    expect(refused).toMatchObject({
      status: 429,
      body: { status: 429, code: 'rate_limited', limit_class: 'read', limit: READS, instance: '/api/v1/tasks' },
    });
  });

  it('may be read by a page of another origin', async () => {
    const { headers } = await list({ ...mine, origin: 'http://localhost:3000' });

    const exposed = String(headers['access-control-expose-headers']).split(', ');
    expect(exposed).toEqual(
      expect.arrayContaining(['RateLimit', 'RateLimit-Policy', 'X-RateLimit-Remaining', 'Retry-After']),
    );
  });

  it('are one for each class: who reads too much may still write, lease and say that it lives', async () => {
    const agent = (await server.post('/api/v1/agents', { name: 'Limited', type: 'limited' }, mine)).body;
    await useUp();

    expect((await list()).status).toBe(429);
    expect(await statuses(WRITES, () => create({ title: 'x' }))).toEqual([201, 201, 429]);
    const lease = () => server.post('/api/v1/tasks/lease', { agent_id: agent.id }, mine);
    const heartbeat = () => server.post(`/api/v1/agents/${agent.id}/heartbeat`, {}, mine);
    expect([...(await statuses(2, lease)), ...(await statuses(2, heartbeat))]).toEqual(Array(LEASES).fill(200));
    expect((await heartbeat()).body).toMatchObject({ code: 'rate_limited', limit_class: 'lease' });
  });

  it('count what is refused for another reason', async () => {
    expect(await statuses(WRITES + 1, () => create({}))).toEqual([422, 422, 422, 429]);
  });

  it('are one for all versions of the API', async () => {
    await useUp();

    expect((await server.get('/api/v2/projects', mine)).status).toBe(429);
    expect((await server.get('/api/agents', mine)).status).toBe(429);
  });

  it('are not there for what tells how the server is, for the documentation and for preflights', async () => {
    await useUp();

    const free = ['/', '/health', '/health/ready', '/healthz', '/api/health', '/metrics', '/docs', '/openapi.json'];
    for (const path of free) {
      const { status, headers } = await server.get(path, mine);
      expect([path, status]).toEqual([path, 200]);
      expect(headers['x-ratelimit-limit']).toBeUndefined();
    }
    const preflight = await server.request('OPTIONS', '/api/v1/tasks', undefined, {
      ...mine,
      origin: 'http://localhost:3000',
      'access-control-request-method': 'POST',
    });
    expect(preflight.status).toBe(204);
  });

  it('are those of the credential, wherever it calls from', async () => {
    await useUp({ ...as('one'), ...mine });

    expect((await list({ ...as('one'), ...from('198.51.100.1') })).status).toBe(429);
    expect((await list({ ...as('two'), ...mine })).status).toBe(200);
    expect((await list()).status).toBe(200);
  });

  it('hold whatever a client says to a proxy that is trusted: only what that one adds counts', async () => {
    const spoofed = (index: number) => from(`203.0.113.${index}, ${mine['x-forwarded-for']}`);

    const answers = await Promise.all(Array.from({ length: READS + 2 }, (_, index) => list(spoofed(index))));

    expect(answers.filter(({ status }) => status === 429)).toHaveLength(2);
    expect((await list(from('203.0.113.1'))).status).toBe(200);
  });

  it('are one for a network of IPv6, and for IPv4 however it is written', async () => {
    await useUp(from('2001:db8:1:2:aaaa::1'));
    await useUp();

    expect((await list(from('2001:db8:1:2:bbbb:cccc:dddd:eeee'))).status).toBe(429);
    expect((await list(from('2001:db8:1:3::1'))).status).toBe(200);
    expect((await list(from(`::ffff:${mine['x-forwarded-for']}`))).status).toBe(429);
  });

  it('are documented on every operation that has them', async () => {
    const { body } = await server.get('/openapi.json');

    for (const [path, methods] of Object.entries(body.paths as Record<string, Record<string, Operation>>)) {
      for (const [method, { responses, ...operation }] of Object.entries(methods)) {
        const isLimited = path !== '/' && !path.includes('health');
        expect([method, path, '429' in responses]).toEqual([method, path, isLimited]);
        if (isLimited) expect(Object.keys(responses['429']!.headers)).toEqual(expect.arrayContaining(['Retry-After']));
        expect(operation).not.toHaveProperty('x-unlimited');
      }
    }
  });

  it('are counted where they were reached', async () => {
    const refused = async (name: string): Promise<number> => {
      const { body } = await server.get<string>('/metrics');
      return Number(new RegExp(`^flightdeck_rate_limited_total\\{class="${name}"\\} (\\d+)$`, 'm').exec(body)![1]);
    };
    const before = [await refused('read'), await refused('login')];
    await useUp();

    await statuses(2, list);

    expect([await refused('read'), await refused('login')]).toEqual([before[0]! + 2, before[1]]);
  });
});

describe('the limits of those who have no credential', () => {
  let server: TestApp;
  let key: Record<string, string>;

  beforeAll(async () => {
    server = await startTestApp({ environment: { ...LIMITS, TRUST_PROXY: PROXY, AUTH_MODE: 'required' } });
    key = bearer(await firstKey(server));
  });
  afterAll(() => server.close());

  const recorded = async (address: string): Promise<number[]> => {
    const { body } = await server.get('/api/v1/audit', key);
    return body.filter(({ ip }: { ip: string }) => ip === address).map(({ status }: { status: number }) => status);
  };

  it('are those of their address, also where nobody may be without', async () => {
    const mine = from('192.0.2.200');

    expect(await statuses(READS + 1, () => server.get('/api/v1/tasks', mine))).toEqual([401, 401, 401, 401, 401, 429]);
    expect(await statuses(WRITES + 1, () => server.post('/api/v1/tasks', {}, mine))).toEqual([401, 401, 401, 429]);
    expect((await server.get('/api/v1/tasks', from('192.0.2.201'))).status).toBe(401);
    expect((await server.get('/api/v1/tasks', { ...mine, ...key })).status).toBe(200);
    expect(await recorded('192.0.2.200')).toEqual([401, 401, 401]);
  });

  it('hold for routes that do not exist', async () => {
    const mine = from('192.0.2.202');

    expect(await statuses(WRITES + 1, () => server.post('/nowhere', {}, mine))).toEqual([404, 404, 404, 429]);
    expect((await server.get('/nowhere', mine)).status).toBe(404);
    expect(await recorded('192.0.2.202')).toEqual([404, 404, 404]);
  });
});

describe('the limits of requests, as they are set', () => {
  let server: TestApp;
  afterEach(() => server.close());

  const start = async (environment: Partial<Environment>): Promise<void> => {
    server = await startTestApp({ environment: { ...LIMITS, ...environment } });
  };
  const list = (headers: Record<string, string> = {}) => server.get('/api/v1/tasks', headers);

  it('are off where nobody turned them on', async () => {
    await start({ ENABLE_RATE_LIMITING: false });

    expect(await statuses(READS + 1, list)).toEqual(Array(READS + 1).fill(200));
    expect(Object.keys((await list()).headers).filter((name) => name.includes('ratelimit'))).toEqual([]);
  });

  it('can be off for one class', async () => {
    await start({ RATE_LIMIT_READ_PER_MINUTE: 0 });

    expect(await statuses(READS + 1, list)).toEqual(Array(READS + 1).fill(200));
    const create = () => server.post('/api/v1/tasks', { title: 'x' });
    expect(await statuses(WRITES + 1, create)).toEqual([201, 201, 201, 429]);
  });

  it.each([
    ['no proxy is trusted', ''],
    ['others are trusted', '10.0.0.0/8, 2001:db8::1'],
  ])('hold whatever X-Forwarded-For says, when %s', async (_when, TRUST_PROXY) => {
    await start({ TRUST_PROXY });

    const answers = await Promise.all(Array.from({ length: READS + 2 }, (_, index) => list(from(`192.0.2.${index}`))));

    expect(answers.filter(({ status }) => status === 429)).toHaveLength(2);
  });
});

interface Operation {
  responses: Record<string, { headers: object }>;
}

describe('the limits of sockets', () => {
  let server: TestApp;
  let url: string;
  let clients: SocketClient[] = [];

  const start = async (environment: Partial<Environment>): Promise<void> => {
    server = await startTestApp({ isListening: true, environment: { ...LIMITS, ...environment } });
    url = await server.listen();
  };
  afterEach(async () => {
    for (const client of clients) client.close();
    clients = [];
    await server.close();
  });

  const open = async (headers: Record<string, string> = {}): Promise<SocketClient> => {
    const client = await SocketClient.connect(url, { extraHeaders: headers });
    clients.push(client);
    return client;
  };

  it.each(['websocket', 'polling'])('refuse the handshake over %s, as a request is refused', async (transport) => {
    await start({ RATE_LIMIT_SOCKET_PER_MINUTE: 1 });
    await open();

    const { status, headers, body } = await handshake(url, transport);

    expect(status).toBe(429);
    expect(headers).toMatchObject({ 'content-type': 'application/problem+json' });
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(body).toMatchObject({ code: 'rate_limited', limit_class: 'socket', instance: '/socket.io/' });
    await clients[0]!.settle();
  });

  it('bound those that one address has open', async () => {
    await start({ SOCKETS_PER_ADDRESS: 2, TRUST_PROXY: PROXY });
    const [first] = [await open(), await open()];

    expect(await handshake(url, 'polling')).toMatchObject({
      status: 429,
      body: { code: 'too_many_sockets', limit: 2 },
    });
    await open({ 'x-forwarded-for': '192.0.2.1' });
    first.close();
    await eventually(open);
    expect(await handshake(url, 'websocket')).toMatchObject({ status: 429 });
  });

  it('are off with the others', async () => {
    await start({ ENABLE_RATE_LIMITING: false, SOCKETS_PER_ADDRESS: 1, RATE_LIMIT_SOCKET_PER_MINUTE: 1 });

    for (let index = 0; index < 3; index++) await (await open()).settle();
  });
});

/** A handshake as it goes over the network, which clients of Socket.IO do not show. */
function handshake(url: string, transport: string): Promise<Answer<Record<string, unknown>>> {
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${url}/socket.io/?EIO=4&transport=${transport}`, {
      agent: false,
      headers: transport === 'websocket' ? upgrade : {},
    });
    request.on('error', reject);
    request.on('upgrade', () => reject(new Error('It was let in')));
    request.on('response', (response) => {
      let text = '';
      response.on('data', (chunk) => (text += String(chunk)));
      response.on('end', () => {
        const isJson = String(response.headers['content-type']).includes('json');
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: isJson ? JSON.parse(text) : { text },
        });
      });
    });
    request.end();
  });
}

describe.skipIf(!REDIS_URL)('the limits of two nodes that share a Redis', () => {
  const LIMIT = 50;
  let nodes: Nodes;
  let line: RedisLine;
  let one: TestApp;
  let two: TestApp;

  beforeAll(async () => {
    nodes = await Nodes.prepare({ ...LIMITS, TRUST_PROXY: PROXY, RATE_LIMIT_READ_PER_MINUTE: LIMIT });
    line = await RedisLine.to(REDIS_URL!);
    one = await nodes.start([], { REDIS_URL: REDIS_URL! });
    // Without workers, which BullMQ cannot stop when the answer to a question of theirs was lost.
    two = await nodes.start([], { REDIS_URL: line.url, ROLE: 'api' });
  });
  afterAll(async () => {
    await nodes.close();
    await line.close();
  });

  let caller = 0;
  beforeEach(() => {
    caller += 1;
  });

  const ask = (node: TestApp) => node.get('/api/v1/projects', { 'x-forwarded-for': `192.0.2.${caller}` });
  const askOften = async (count: number, ...servers: TestApp[]): Promise<{ let_in: number; refused: number }> => {
    const answers = await Promise.all(
      Array.from({ length: count }, (_, index) => ask(servers[index % servers.length]!)),
    );
    const let_in = answers.filter(({ status }) => status === 200).length;
    const refused = answers.filter(({ status }) => status === 429).length;
    expect(let_in + refused).toBe(count);
    return { let_in, refused };
  };

  it('let through as many as the limit together, not one more', async () => {
    expect(await askOften(3 * LIMIT, one, two)).toEqual({ let_in: LIMIT, refused: 2 * LIMIT });
  });

  it('are used up at one node by what was asked of the other', async () => {
    expect(await askOften(2 * LIMIT, one)).toEqual({ let_in: LIMIT, refused: LIMIT });

    expect((await ask(two)).status).toBe(429);
  });

  it('tell what is left of both, and when it comes back', async () => {
    await askOften(LIMIT / 2, one);

    const { headers } = await ask(two);

    // A share of what is left may lie at the first node.
    expect(Number(headers['x-ratelimit-remaining'])).toBeLessThan(LIMIT / 2);
    expect(Number(headers['x-ratelimit-reset'])).toBeLessThanOrEqual(60);
  });

  it('are counted by each node alone while Redis does not answer it, and together again when it does', async () => {
    line.fallSilent();

    // The first of them finds out that nobody answers, and waits for no more than that.
    expect(await askOften(2 * LIMIT, two)).toEqual({ let_in: LIMIT, refused: LIMIT });
    expect(await askOften(2 * LIMIT, one)).toEqual({ let_in: LIMIT, refused: LIMIT });

    line.speakAgain();
    // The node alone would let another caller through.
    await eventually(async () => {
      caller += 1;
      await askOften(LIMIT, one);
      expect((await ask(two)).status).toBe(429);
    });
  });
});
