import { createClient } from '@flightdeck/client';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Environment } from '../src/platform/config/environment.js';
import { eventually } from './support/eventually.js';
import { complete, lease, makeAgent, makeTask } from './support/makers.js';
import { freePort, ServerProcess } from './support/server-process.js';
import { startTestApp, type TestApp } from './support/test-app.js';

// Real processes start in some tests.
vi.setConfig({ testTimeout: 120_000 });

// oxlint-disable-next-line typescript/no-explicit-any
type Line = any;

/** What is written while the work goes on, and the lines of it that are JSON. */
async function written(work: () => Promise<unknown>): Promise<{ text: string; lines: Line[] }> {
  let text = '';
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation(((chunk: string) => {
      text += chunk;
      return true;
    }) as never),
  );
  try {
    await work();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return { text, lines: linesOf(text) };
}

const linesOf = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));

describe('the log of requests', () => {
  let server: TestApp;
  /** What it says of its own start is of no interest here. */
  const start = (environment: Partial<Environment>) =>
    written(async () => {
      server = await startTestApp({ environment });
    });
  afterEach(() => server.close());

  it('has one JSON line per request: route, status, duration, the ids, who it was', async () => {
    await start({ LOG_LEVEL: 'debug', LOG_FORMAT: 'json' });
    const agent = await makeAgent(server);
    const task = await makeTask(server, { agent_type: agent.type });
    const headers = { 'x-request-id': 'mine' };

    const { lines } = await written(async () => {
      await server.get(`/api/v1/tasks/${task.id}?secret=1`, headers);
      await complete(server, (await lease(server, agent))[0]!);
      await server.get('/nowhere');
    });
    const requests = lines.filter(({ context }) => context === 'Request');

    expect(requests[0]).toMatchObject({
      level: 'debug',
      message: 'GET /api/v1/tasks/:id 200',
      request_id: 'mine',
      actor_type: 'user',
      method: 'GET',
      route: '/api/v1/tasks/:id',
      status: 200,
      duration_ms: expect.any(Number),
      params: { id: task.id },
    });
    expect(JSON.stringify(requests[0])).not.toContain('secret');
    expect(requests.map(({ route, status, actor_type, actor_id }) => [route, status, actor_type, actor_id])).toEqual([
      ['/api/v1/tasks/:id', 200, 'user', null],
      ['/api/v1/tasks/lease', 200, 'agent', agent.id],
      ['/api/v1/tasks/:id/lease/complete', 200, 'agent', agent.id],
      [null, 404, 'user', null],
    ]);
  });

  it('is readable for people: the path, the status, the time, the id', async () => {
    await start({ LOG_LEVEL: 'debug' });

    const { text } = await written(() => server.get('/api/v1/tasks?limit=1', { 'x-request-id': 'mine' }));

    expect(stripVTControlCharacters(text)).toMatch(/DEBUG \[Request mine\] GET \/api\/v1\/tasks 200 in \d+\.\d ms\n/);
  });

  it('is silent at level info, except where the server failed', async () => {
    await start({ LOG_LEVEL: 'info', LOG_FORMAT: 'json' });
    const break_ = () => server.database.query('ALTER TABLE projects RENAME TO away');

    const calm = await written(() => server.get('/api/v1/projects'));
    await break_();
    const headers = { 'x-request-id': 'failing', 'cache-control': 'no-cache' };
    const { lines } = await written(() => server.get('/api/v1/projects', headers));

    expect(calm.lines.filter(({ context }) => context === 'Request')).toEqual([]);
    expect(lines.filter(({ request_id }) => request_id === 'failing')).toEqual([
      expect.objectContaining({ level: 'error', error: expect.objectContaining({ stack: expect.any(String) }) }),
      expect.objectContaining({ level: 'warn', route: '/api/v1/projects', status: 500 }),
    ]);
  });
});

describe('the log of a server in production', () => {
  let server: ServerProcess;
  afterEach(() => server.dispose());

  it('is JSON from the first line to the last', async () => {
    server = await ServerProcess.prepare({ ENVIRONMENT: 'production', LOG_LEVEL: 'debug' });
    const token = await server.createKey();
    await server.start();
    await createClient({ url: server.url, token }).post('/api/v1/projects', { body: { name: 'Apollo' } });
    await server.signal('SIGTERM');

    const texts = server.output.trim().split('\n');
    const lines = linesOf(server.output);

    expect(lines).toHaveLength(texts.length);
    expect(lines).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining('is ready'), level: 'log' }),
    );
    expect(lines).toContainEqual(expect.objectContaining({ route: '/api/v1/projects', status: 201 }));
  });

  it('shows no password of an address', async () => {
    const port = await freePort();
    server = await ServerProcess.prepare({
      LOG_LEVEL: 'debug',
      REDIS_URL: `redis://ada:hunter2@127.0.0.1:${port}`,
    });
    server.launch();
    await eventually(() => expect(server.output).toMatch(/ECONNREFUSED|cannot be reached/), 60_000);
    await server.signal('SIGKILL');
    expect(server.output).not.toContain('hunter2');

    await server.dispose();
    server = await ServerProcess.prepare({ DATABASE_URL: `postgres://ada:hunter2@127.0.0.1:${port}/flightdeck` });
    server.launch();

    expect(await server.ended()).toBe(1);
    expect(server.output).toContain('The database at DATABASE_URL cannot be reached');
    expect(server.output).not.toContain('hunter2');
  });
});
