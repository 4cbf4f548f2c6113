import { createClient, FlightdeckError } from '@flightdeck/client';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep } from '../../test/support/eventually.js';
import { makeAgent, makeTask } from '../../test/support/makers.js';
import { startTestApp, type TestApp } from '../../test/support/test-app.js';
import { Proxy } from '../../test/support/proxy.js';

const NOWHERE = 'http://127.0.0.1:1';

describe('a call', () => {
  let server: TestApp;
  let url: string;
  let proxy: Proxy;

  beforeAll(async () => {
    server = await startTestApp({ isListening: true });
    url = await server.listen();
    proxy = await Proxy.to(url);
  });
  afterAll(async () => {
    await proxy.close();
    await server.close();
  });

  const tasksWithTag = async (tag: string) => (await server.get(`/api/v1/tasks?tags=${tag}`)).body as unknown[];

  /** Answers the first calls itself, in turn; the server gets the rest. Notes the keys that it sees. */
  function answeringFirst(...answers: (() => Response)[]) {
    const keys: (string | null)[] = [];
    const fetch = (async (request: Request) => {
      keys.push(request.headers.get('idempotency-key'));
      return answers.shift()?.() ?? globalThis.fetch(request);
    }) as typeof globalThis.fetch;
    return { keys, client: createClient({ url, fetch }) };
  }

  describe('that succeeds', () => {
    it('gives the body of the answer, and nothing where there is none', async () => {
      const client = createClient({ url: `${url}/` });

      const task = await client.post('/api/v1/tasks', { body: { title: 'Write', input: { about: 'rain' } } });
      const path = { id: task.id };
      const renamed = await client.put('/api/v1/tasks/{id}', { params: { path }, body: { title: 'Read' } });
      const found = await client.get('/api/v1/tasks/{id}', { params: { path } });
      const nothing = await client.delete('/api/v1/tasks/{id}', { params: { path } });

      expect(found).toMatchObject({ id: task.id, title: 'Read', status: 'pending', input: { about: 'rain' } });
      expect(renamed).toEqual(found);
      expect(nothing).toBeUndefined();
    });

    it.each(['/api/v1/tasks', '/api/tasks'] as const)('lists all items of %s, page after page', async (path) => {
      const tags = [randomUUID()];
      const ids = [];
      for (let i = 0; i < 5; i++) ids.push((await makeTask(server, { tags })).id);
      const query = { tags: tags.join(), limit: 2, skip: 1, sort_order: 'asc' as const };

      const listed = [];
      for await (const { id } of createClient({ url }).list(path, { params: { query } })) listed.push(id);

      expect(listed).toEqual(ids.slice(1));
    });

    it('carries the token', async () => {
      let authorization: string | null = null;
      const fetch = (async (request: Request) => {
        authorization = request.headers.get('authorization');
        return globalThis.fetch(request);
      }) as typeof globalThis.fetch;

      await createClient({ url, token: 'secret', fetch }).get('/health/ready');

      expect(authorization).toBe('Bearer secret');
    });
  });

  describe('that the server refuses', () => {
    it('rejects with what the problem document says, after one try', async () => {
      const { client, keys } = answeringFirst();

      const refusal = client.post('/api/v1/tasks', { body: { title: '' } });

      await expect(refusal).rejects.toBeInstanceOf(FlightdeckError);
      await expect(refusal).rejects.toMatchObject({
        status: 422,
        code: 'invalid_input',
        detail: expect.any(String),
        errors: [{ pointer: '/title', detail: expect.any(String) }],
        request_id: expect.any(String),
        message: expect.stringContaining('/title'),
        isPassing: false,
      });
      expect(keys).toHaveLength(1);
    });

    it('rejects with what it can say about an answer that is no problem document', async () => {
      const { client } = answeringFirst(() => new Response('<h1>Not here</h1>', { status: 404 }));

      const refusal = client.get('/api/v1/tasks');

      await expect(refusal).rejects.toMatchObject({
        status: 404,
        code: 'http_error',
        detail: expect.stringContaining('Not here'),
        errors: [],
      });
    });
  });

  describe('that gets no answer', () => {
    it('is tried again, and creates exactly one task', async () => {
      const tag = randomUUID();
      proxy.dropAnswers(3, 'POST /api/v1/tasks');

      const task = await createClient({ url: proxy.url }).post('/api/v1/tasks', {
        body: { title: 'One', tags: [tag] },
      });

      expect(proxy.dropped).toBe(3);
      expect(await tasksWithTag(tag)).toMatchObject([{ id: task.id }]);
      expect((await server.events({ task_id: task.id })).map(({ type }) => type)).toEqual(['task_created']);
    });

    it('has deleted what a lost answer said was deleted', async () => {
      const { id } = await makeTask(server);
      proxy.dropAnswers(1, 'DELETE');

      const client = createClient({ url: proxy.url });
      await client.delete('/api/v1/tasks/{id}', { params: { path: { id } } });

      await expect(client.get('/api/v1/tasks/{id}', { params: { path: { id } } })).rejects.toMatchObject({
        status: 404,
        code: 'task_not_found',
      });
      await expect(client.delete('/api/v1/tasks/{id}', { params: { path: { id } } })).rejects.toMatchObject({
        status: 404,
      });
    });

    it('rejects when its tries are used up', async () => {
      const call = createClient({ url: NOWHERE, retries: 1 }).get('/health/ready');

      await expect(call).rejects.toMatchObject({
        name: 'FlightdeckError',
        status: 0,
        code: 'no_answer',
        detail: expect.stringContaining(NOWHERE),
        isPassing: true,
      });
    });

    it('ends with its signal, whatever is left to try', async () => {
      const ending = new AbortController();
      const call = createClient({ url: NOWHERE, retries: Infinity }).get('/health/ready', { signal: ending.signal });
      const reason = new Error('Enough');

      ending.abort(reason);

      await expect(call).rejects.toBe(reason);
    });

    it('is tried again when the server takes too long', async () => {
      let tries = 0;
      const fetch = (async (request: Request) => {
        tries++;
        // A server that never answers, until the client hangs up.
        if (tries === 1) await new Promise((_, reject) => request.signal.addEventListener('abort', reject));
        return globalThis.fetch(request);
      }) as typeof globalThis.fetch;

      const { status } = await createClient({ url, fetch, timeoutMs: 200 }).get('/health/ready', { timeoutMs: 100 });

      expect(status).toBe('ready');
      expect(tries).toBe(2);
    });
  });

  describe('that may succeed later', () => {
    it.each([429, 502, 503, 504])('is tried again after %d, with the same key', async (status) => {
      const tag = randomUUID();
      const later = () => new Response('', { status, headers: { 'retry-after': '0' } });
      const { client, keys } = answeringFirst(later, later);

      const task = await client.post('/api/v1/tasks', { body: { title: 'One', tags: [tag] } });

      expect(await tasksWithTag(tag)).toMatchObject([{ id: task.id }]);
      expect(keys).toEqual([expect.any(String), keys[0], keys[0]]);
    });

    it('is not tried again before the server wants it', async () => {
      const { client } = answeringFirst(() => new Response('', { status: 429, headers: { 'retry-after': '1' } }));
      const call = client.get('/health/ready');

      expect(await Promise.race([call, sleep(500)])).toBeUndefined();
      expect(await call).toMatchObject({ status: 'ready' });
    });

    it('rejects at once when the server wants it much later', async () => {
      const { client, keys } = answeringFirst(
        () => new Response('', { status: 429, headers: { 'retry-after': '3600' } }),
      );

      await expect(client.get('/health/ready')).rejects.toMatchObject({ status: 429, retry_after_seconds: 3600 });
      expect(keys).toHaveLength(1);
    });

    it('is tried again while the server is still at work on the first try', async () => {
      const busy = () => Response.json({ status: 409, code: 'idempotency_key_in_use' }, { status: 409 });
      const { client, keys } = answeringFirst(busy, busy);

      await client.post('/api/v1/tasks', { body: { title: 'One' } });

      expect(keys).toHaveLength(3);
    });

    it('is not repeated after a failure of the server itself', async () => {
      const { client, keys } = answeringFirst(() => Response.json({ code: 'internal_error' }, { status: 500 }));

      await expect(client.get('/health/ready')).rejects.toMatchObject({ status: 500, code: 'internal_error' });
      expect(keys).toHaveLength(1);
    });
  });

  describe('with an Idempotency-Key', () => {
    it('is the same as an earlier one, also of another client', async () => {
      const call = { body: { title: 'One' }, idempotencyKey: randomUUID() };

      const first = await createClient({ url }).post('/api/v1/tasks', call);
      const second = await createClient({ url }).post('/api/v1/tasks', call);

      expect(second).toEqual(first);
    });

    it('is every POST and PATCH but those of a lease and of a sign of life', async () => {
      const { client, keys } = answeringFirst();
      const { id } = await makeAgent(server);
      const params = { path: { id } };

      await client.patch('/api/v1/agents/{id}/status', { params, body: { status: 'waiting' } });
      await client.put('/api/v1/agents/{id}', { params, body: { description: 'Busy' } });
      await client.post('/api/v1/agents/{id}/heartbeat', { params, body: {} });
      await client.post('/api/v1/tasks/lease', { body: { agent_id: id } });
      await client.get('/api/v1/agents/{id}', { params });

      expect(keys).toEqual([expect.any(String), null, null, null, null]);
    });
  });
});
