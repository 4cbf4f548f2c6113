import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, inject, it, vi } from 'vitest';
import { eventually } from './support/eventually.js';
import { call, ServerProcess } from './support/server-process.js';

// Real processes start here, several in some tests.
vi.setConfig({ testTimeout: 120_000 });

const DELIVERY_MS = 15_000;
const ITEMS = 30;

// oxlint-disable-next-line typescript/no-explicit-any
type Json = any;

let server: ServerProcess;
afterEach(() => server.dispose());

/** Leases and completes until told to stop; every result that the server accepted is noted. */
function startAgent(url: string, agent_id: string, pause_ms = 5) {
  const accepted: string[] = [];
  let isStopped = false;
  const work = async (): Promise<void> => {
    while (!isStopped) {
      const leased: Json = await call(url, 'POST', '/tasks/lease', { agent_id, max_tasks: 2, wait_seconds: 1 });
      for (const { task, lease } of Array.isArray(leased) ? leased : []) {
        await new Promise((resolve) => setTimeout(resolve, pause_ms));
        const body = { lease_token: lease.token, output: { item: task.input.value } };
        const done: Json = await call(url, 'POST', `/tasks/${task.id}/lease/complete`, body);
        if (done.status === 'completed') accepted.push(task.id as string);
      }
    }
  };
  const running = work();
  return {
    accepted,
    stop: () => {
      isStopped = true;
      return running;
    },
  };
}

async function startRun(url: string, agent_type: string): Promise<string> {
  const steps = [
    { key: 'first', agent_type, for_each: 'input.items', input: '${{ item }}', max_parallel: 4 },
    { key: 'second', agent_type, depends_on: ['first'], input: '${{ size(steps.first.output) }}' },
  ];
  const workflow: Json = await call(url, 'POST', '/workflows', { name: 'Two steps', steps });
  const input = { items: Array.from({ length: ITEMS }, (_, index) => index) };
  const { run }: Json = await call(url, 'POST', `/workflows/${workflow.id}/execute`, { input });
  return run.id as string;
}

async function runTasks(url: string, run_id: string): Promise<Json[]> {
  return call(url, 'GET', `/tasks?run_id=${run_id}&limit=1000`);
}

describe('a server that is killed in the middle of a run', () => {
  it('goes on where it was: the run completes, each result is accepted once, the log is whole', async () => {
    server = await ServerProcess.prepare();
    await server.start();
    const agent: Json = await call(server.url, 'POST', '/agents', {
      name: 'One',
      type: 'worker',
      max_concurrent_tasks: 4,
    });
    const run_id = await startRun(server.url, 'worker');
    const worker = startAgent(server.url, agent.id);

    await eventually(() => expect(worker.accepted.length).toBeGreaterThan(5));
    await server.signal('SIGKILL');
    await server.start();
    await eventually(
      async () => expect((await call(server.url, 'GET', `/runs/${run_id}`)).status).toBe('completed'),
      60_000,
    );
    await worker.stop();

    const run: Json = await call(server.url, 'GET', `/runs/${run_id}`);
    expect(run.steps[0].output.map(({ item }: Json) => item)).toEqual(
      Array.from({ length: ITEMS }, (_, index) => index),
    );
    const tasks = await runTasks(server.url, run_id);
    expect(tasks).toHaveLength(ITEMS + 1);
    for (const { id } of tasks) {
      const types = (await call<Json[]>(server.url, 'GET', `/tasks/${id}/events`)).map(({ type }) => type as string);
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
    for (const name of ['doomed', 'heir'])
      await call(server.url, 'POST', '/agents', { name, key: name, type: 'worker' });
    const task: Json = await call(server.url, 'POST', '/tasks', { title: 'Only one', agent_type: 'worker' });
    const script = `
      const post = (path, body) => fetch('${server.url}/api/v1' + path, { method: 'POST',
        headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }).then((answer) => answer.json());
      const [{ task, lease }] = await post('/tasks/lease', { agent_id: 'doomed' });
      console.log('leased');
      setInterval(() => post('/tasks/' + task.id + '/lease/heartbeat', { lease_token: lease.token }), 1000);`;
    const agent = spawn(process.execPath, ['--input-type=module', '-e', script]);
    await once(agent.stdout, 'data');
    const gone = once(agent, 'exit');
    agent.kill('SIGKILL');
    await gone;
    const killedAt = Date.now();

    const second: Json = await eventually(async () => {
      const [leased]: Json[] = await call(server.url, 'POST', '/tasks/lease', { agent_id: 'heir', wait_seconds: 20 });
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
    const agent: Json = await call(server.url, 'POST', '/agents', { name: 'One', type: 'worker' });
    const waiting = fetch(`${server.url}/api/v1/tasks/lease`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ agent_id: agent.id, wait_seconds: 30 }),
    });
    await eventually(async () => {
      const { last_heartbeat, last_activity, status }: Json = await call(server.url, 'GET', `/agents/${agent.id}`);
      expect(last_heartbeat ?? last_activity ?? status).not.toBeNull();
    });
    await new Promise((resolve) => setTimeout(resolve, 300));

    const code = await server.signal('SIGINT');

    expect(code).toBe(0);
    expect(await (await waiting).json()).toEqual([]);
    expect(server.output).toContain('is ready');
    expect(server.output).toContain('SIGINT');
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
