import { createClient, FlightdeckAgent } from '@flightdeck/client';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, inject, it, vi } from 'vitest';
import { eventually } from './support/eventually.js';
import { ServerProcess } from './support/server-process.js';
import { SocketClient } from './support/socket-client.js';

// Real processes start here, several in some tests.
vi.setConfig({ testTimeout: 120_000 });

const DELIVERY_MS = 15_000;
const ITEMS = 30;
const PAUSE_MS = 5;

let server: ServerProcess;
/** Repeats what a dead server did not answer. */
const client = () => createClient({ url: server.url, retries: Infinity });
afterEach(() => server.dispose());

/** Completes what it gets until told to stop; notes what it gave. */
async function startAgent(url: string) {
  const given: string[] = [];
  const agent = new FlightdeckAgent({
    url,
    key: 'one',
    type: 'worker',
    concurrency: 2,
    onReport: () => undefined,
    handler: async ({ id, input }) => {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      given.push(id);
      return { item: input.value };
    },
  });
  await agent.start();
  return { given, stop: () => agent.stop() };
}

async function startRun(agent_type: string): Promise<string> {
  const steps = [
    { key: 'first', agent_type, for_each: 'input.items', input: '${{ item }}', max_parallel: 4 },
    { key: 'second', agent_type, depends_on: ['first'], input: '${{ size(steps.first.output) }}' },
  ];
  const { id } = await client().post('/api/v1/workflows', { body: { name: 'Two steps', steps } });
  const input = { items: Array.from({ length: ITEMS }, (_, index) => index) };
  const { run } = await client().post('/api/v1/workflows/{id}/execute', { params: { path: { id } }, body: { input } });
  return run.id;
}

describe('a server that is killed in the middle of a run', () => {
  it('goes on where it was: the run completes, each result is accepted once, the log is whole', async () => {
    server = await ServerProcess.prepare();
    await server.start();
    const run_id = await startRun('worker');
    const ofRun = { params: { path: { id: run_id } } };
    const worker = await startAgent(server.url);

    await eventually(() => expect(worker.given.length).toBeGreaterThan(5));
    await server.signal('SIGKILL');
    await server.start();
    await eventually(
      async () => expect((await client().get('/api/v1/runs/{id}', ofRun)).status).toBe('completed'),
      60_000,
    );
    await worker.stop();

    const { steps } = await client().get('/api/v1/runs/{id}', ofRun);
    expect(steps[0]!.output).toEqual(Array.from({ length: ITEMS }, (_, item) => ({ item })));
    const tasks = await client().get('/api/v1/tasks', { params: { query: { run_id, limit: 1000 } } });
    expect(tasks).toHaveLength(ITEMS + 1);
    for (const { id } of tasks) {
      const events = await client().get('/api/v1/tasks/{id}/events', { params: { path: { id } } });
      const types = events.map(({ type }) => type);
      expect(types.filter((type) => type === 'task_completed')).toHaveLength(1);
      expect(types.filter((type) => type === 'task_created')).toHaveLength(1);
      expect(types).toContain('task_started');
    }
  });
});

describe('an agent that is killed', () => {
  it('loses its task to another one within 15 seconds, with default settings', async () => {
    server = await ServerProcess.prepare();
    await server.start();
    await client().post('/api/v1/agents', { body: { name: 'heir', key: 'heir', type: 'worker' } });
    const task = await client().post('/api/v1/tasks', { body: { title: 'Only one', agent_type: 'worker' } });
    const script = `
      import { FlightdeckAgent } from '@flightdeck/client';
      const handler = () => new Promise(() => console.log('leased'));
      await new FlightdeckAgent({ url: '${server.url}', key: 'doomed', type: 'worker', handler }).run();`;
    const agent = spawn(process.execPath, ['--input-type=module', '-e', script]);
    await once(agent.stdout, 'data');
    const gone = once(agent, 'exit');
    agent.kill('SIGKILL');
    await gone;
    const killedAt = Date.now();

    const second = await eventually(async () => {
      const [leased] = await client().post('/api/v1/tasks/lease', { body: { agent_id: 'heir', wait_seconds: 20 } });
      expect(leased).toBeDefined();
      return leased;
    }, 30_000);

    expect(second).toMatchObject({ task: { id: task.id, attempt: 2 } });
    // The promise of the product, not a measurement: a lease of 12 s, a sweep every 2 s, a back-off of at most 1 s.
    expect(Date.now() - killedAt).toBeLessThan(DELIVERY_MS);
  });
});

describe('a server that is told to stop', () => {
  it('ends with 0 though an agent waits and a connection is open, and says what it does', async () => {
    server = await ServerProcess.prepare();
    await server.start();
    const { id } = await client().post('/api/v1/agents', { body: { name: 'One', type: 'worker' } });
    const waiting = client().post('/api/v1/tasks/lease', { body: { agent_id: id, wait_seconds: 30 }, retries: 0 });
    await eventually(async () => {
      const agent = await client().get('/api/v1/agents/{id}', { params: { path: { id } } });
      const { last_heartbeat, last_activity, status } = agent;
      expect(last_heartbeat ?? last_activity ?? status).not.toBeNull();
    });
    await new Promise((resolve) => setTimeout(resolve, 300));

    const code = await server.signal('SIGINT');

    expect(code).toBe(0);
    expect(await waiting).toEqual([]);
    expect(server.output).toContain('is ready');
    expect(server.output).toContain('SIGINT');
  });

  it('serves on for its grace, in which it is not ready, and then ends what waits', async () => {
    server = await ServerProcess.prepare({ SHUTDOWN_GRACE_SECONDS: '4' });
    await server.start();
    const { id } = await client().post('/api/v1/agents', { body: { name: 'One', type: 'worker' } });
    const waiting = client().post('/api/v1/tasks/lease', { body: { agent_id: id, wait_seconds: 30 }, retries: 0 });
    const socket = await SocketClient.connect(server.url);
    await socket.join('tasks');

    const ended = server.signal('SIGTERM');
    await eventually(async () => expect((await fetch(`${server.url}/health/ready`)).status).toBe(503));
    const made = await fetch(`${server.url}/api/v1/tasks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ title: 'The last one', agent_type: 'other' }),
    });

    expect(made.status).toBe(201);
    expect(made.headers.get('connection')).toBe('close');
    await eventually(() => expect(socket.payloads('task_created')).toHaveLength(1));
    expect(await ended).toBe(0);
    expect(await waiting).toEqual([]);
    await socket.untilDisconnected();
  });

  it('does not wait for a connection on which nothing was asked', async () => {
    server = await ServerProcess.prepare({ SHUTDOWN_TIMEOUT_SECONDS: '60' });
    await server.start();
    const unused = connect(server.port, '127.0.0.1');
    await once(unused, 'connect');
    const ended = once(unused, 'close');

    const code = await server.signal('SIGTERM');

    expect(code).toBe(0);
    expect(server.output).not.toContain('Not everything ended in time');
    await ended;
  });

  it('ends at once when told a second time', async () => {
    server = await ServerProcess.prepare();
    await server.start();
    // A request whose body never comes keeps it from draining.
    const half = connect(server.port, '127.0.0.1');
    half.write(
      'POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    const ended = server.signal('SIGTERM');
    await eventually(() => expect(server.output).toContain('SIGTERM'));
    // The same signal, passed on by a terminal and by npm, counts once.
    await new Promise((resolve) => setTimeout(resolve, 700));

    void server.signal('SIGTERM');

    expect(await ended).toBe(130);
    half.destroy();
  });
});

describe('a server that cannot start', () => {
  const fails = async (): Promise<string> => {
    server.launch();
    expect(await server.ended()).toBe(1);
    expect(server.output).not.toMatch(/^\s+at /m);
    return server.output;
  };

  it('names every mistake in the environment', async () => {
    server = await ServerProcess.prepare({ PORT: 'eight', LOG_LEVEL: 'loud' });

    const output = await fails();

    expect(output).toContain('PORT');
    expect(output).toContain('LOG_LEVEL');
  });

  it('says that its port is taken', async () => {
    server = await ServerProcess.prepare();
    const other = createServer().listen(server.port, '127.0.0.1');
    await once(other, 'listening');

    const output = await fails();
    other.close();

    expect(output).toMatch(new RegExp(`^Flightdeck cannot start: Port ${server.port} [^\n]+\n$`));
    expect(existsSync(join(server.folder, 'data'))).toBe(false);
  });

  it('says that a worker or an api alone needs a database for several', async () => {
    server = await ServerProcess.prepare({ ROLE: 'worker', DATABASE_URL: '' });

    expect(await fails()).toContain('needs DATABASE_URL');
  });

  it('says that the database cannot be reached', async () => {
    server = await ServerProcess.prepare({ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' });

    expect(await fails()).toContain('cannot be reached');
  });

  it('says that Redis cannot be reached, and keeps its password', async () => {
    server = await ServerProcess.prepare({ REDIS_URL: 'redis://:hunter2@127.0.0.1:1/3' });

    const output = await fails();

    expect(output).toMatch(/^Flightdeck cannot start: The Redis at REDIS_URL cannot be reached: [^\n]+\n$/);
    expect(output).not.toContain('hunter2');
    expect(existsSync(join(server.folder, 'data'))).toBe(false);
  });

  it('says that Redis does not answer', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    server = await ServerProcess.prepare({ REDIS_URL: `redis://127.0.0.1:${port}` });

    const output = await fails();
    silent.close();

    expect(output).toMatch(/^Flightdeck cannot start: [^\n]+ cannot be reached: no answer within 5 s\.\n$/);
  });

  it.skipIf(inject('template'))('says that its data directory is in use, or is none', async () => {
    server = await ServerProcess.prepare();
    await server.start();
    const second = spawn(process.execPath, ['dist/src/main.js'], { env: { ...server.environment, PORT: '0' } });
    let output = '';
    second.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const [code] = (await once(second, 'exit')) as [number];
    expect(code).toBe(1);
    expect(output).toContain('Another Flightdeck is using the data directory');
    await server.signal('SIGTERM');
    await server.dispose();

    server = await ServerProcess.prepare();
    await mkdir(join(server.folder, 'data', 'postgres'), { recursive: true });
    await writeFile(join(server.folder, 'data', 'postgres', 'notes.txt'), 'mine');
    expect(await fails()).toContain('is not a Flightdeck database');
  });
});
