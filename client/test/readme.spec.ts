import { createClient } from '@flightdeck/client';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../../test/support/eventually.js';
import { startTestApp, type TestApp } from '../../test/support/test-app.js';

/** In the package, so that its name leads to itself; TypeScript only by name, as it holds no types. */
const FILE = `client/dist/readme-agent.${process.pid}.mjs`;

let server: TestApp;
beforeAll(async () => {
  server = await startTestApp({ isListening: true });
});
afterAll(async () => {
  await rm(FILE, { force: true });
  await server.close();
});

it('the agent of the README does a task, and stops when it is told to', async () => {
  const [, code] = /```ts\n(import \{ FlightdeckAgent[\s\S]*?)```/.exec(await readFile('client/README.md', 'utf8'))!;
  await writeFile(FILE, code!);
  const url = await server.listen();
  const client = createClient({ url });
  const body = { title: 'Write a haiku', agent_type: 'writer', input: { about: 'rain' } };
  const { id } = await client.post('/api/v1/tasks', { body });
  const agent = spawn(process.execPath, [FILE], { env: { ...process.env, FLIGHTDECK_URL: url }, stdio: 'inherit' });
  const gone = once(agent, 'exit');

  await eventually(async () => {
    const task = await client.get('/api/v1/tasks/{id}', { params: { path: { id } } });
    expect(task).toMatchObject({ status: 'completed', output: { haiku: 'Drops on the window: rain' } });
  });
  agent.kill('SIGTERM');

  expect(await gone).toEqual([0, null]);
  expect(code!.trim().split('\n').length).toBeLessThanOrEqual(11);
});
