import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { FlightdeckAgent } from '@flightdeck/client';
import { eventually } from '../support/eventually.js';
import { bearer, firstKey } from '../support/keys.js';
import { HOLD_BACK_LOG, openTransaction } from '../support/open-transaction.js';
import { SocketClient } from '../support/socket-client.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

type Headers = Record<string, string>;

describe('a key of role agent', () => {
  let server: TestApp;
  let url: string;
  let admin: Headers;
  let count = 0;

  beforeAll(async () => {
    server = await startTestApp({ environment: { AUTH_MODE: 'required' }, isListening: true });
    url = await server.listen();
    admin = bearer(await firstKey(server));
  });
  afterAll(() => server.close());

  const agentKey = async (fields: object = {}): Promise<{ id: string; headers: Headers; key: string }> => {
    const { body } = await server.post('/api/v1/auth/keys', { name: 'agent', role: 'agent', ...fields }, admin);
    return { id: body.id, key: body.key, headers: bearer(body.key) };
  };
  const describeAgent = () => ({ name: `Agent ${++count}`, key: `agent_${count}`, type: `type_${count}` });
  /** An agent that registered itself. */
  const registered = async (fields: object = {}) => {
    const { headers, ...key } = await agentKey(fields);
    const { body: agent } = await server.post('/api/v1/agents', describeAgent(), headers);
    return { agent, headers, ...key };
  };
  const leaseOne = async ({ agent, headers }: Awaited<ReturnType<typeof registered>>) => {
    const fields = { title: 'Work', agent_type: agent.type };
    const { body: task } = await server.post('/api/v1/tasks', fields, admin);
    const { status, body } = await server.post('/api/v1/tasks/lease', { agent_id: agent.id }, headers);
    expect({ status, body }).toMatchObject({ status: 200, body: [{ task: { id: task.id } }] });
    return { id: task.id as string, lease_token: body[0].lease.token as string };
  };
  const NEEDED = { complete: {}, heartbeat: {}, fail: { error: { message: 'x' } }, release: {} };

  it('becomes that of the agent which it registers, and registers no other', async () => {
    const { agent, headers, id } = await registered();

    const me = await server.get('/api/v1/auth/me', headers);
    const another = await server.post('/api/v1/agents', describeAgent(), headers);

    expect(me.body).toMatchObject({ role: 'agent', agent_id: agent.id });
    expect([another.status, another.body.code]).toEqual([403, 'not_allowed']);
    expect(await server.events({ agent_id: agent.id })).toMatchObject([
      { type: 'agent_created', source: 'agent', actor_type: 'api_key', actor_id: id },
      { type: 'api_key_bound', data: { key_id: id, agent_id: agent.id } },
    ]);
  });

  it('may be made for an agent that is there', async () => {
    const { body: agent } = await server.post('/api/v1/agents', describeAgent(), admin);
    const { headers } = await agentKey({ agent_id: agent.id });

    expect((await server.post(`/api/v1/agents/${agent.key}/heartbeat`, {}, headers)).status).toBe(200);
    expect((await server.request('PUT', `/api/v1/agents/${agent.id}`, { description: 'me' }, headers)).status).toBe(
      200,
    );
  });

  it('registers anew when its agent was deleted', async () => {
    const { agent, headers } = await registered();
    await server.request('DELETE', `/api/v1/agents/${agent.id}`, undefined, admin);
    expect((await server.post(`/api/v1/agents/${agent.id}/heartbeat`, {}, headers)).status).toBe(404);

    expect((await server.post('/api/v1/agents', describeAgent(), headers)).status).toBe(201);
  });

  it.each([
    ['one that has an agent', () => registered()],
    ['one that has none yet', () => agentKey()],
  ])('of others sees nothing, as if they did not exist: %s', async (_which, make) => {
    const { headers } = await make();
    const other = await registered();
    const unknown = '01890000-0000-7000-8000-000000000000';
    const calls: [string, string, object?][] = [
      ['GET', '/api/v1/agents/ID'],
      ['PUT', '/api/v1/agents/ID', { description: 'taken over' }],
      ['PATCH', '/api/v1/agents/ID/status', { status: 'offline' }],
      ['PATCH', '/api/v1/agents/ID/metrics', { error_count: 7 }],
      ['POST', '/api/v1/agents/ID/heartbeat', {}],
      ['POST', '/api/v1/tasks/lease', { agent_id: 'ID' }],
    ];
    const call = ([method, path, body]: (typeof calls)[number], id: string) => {
      const payload = body && (JSON.parse(JSON.stringify(body).replace('ID', id)) as object);
      return server.request(method as 'GET', path.replace('ID', id), payload, headers);
    };

    for (const each of calls) {
      for (const ref of [other.agent.id, other.agent.key]) {
        const { status, body } = await call(each, ref);
        const missing = (await call(each, unknown)).body;
        const comparable = ({ code, title, type }: typeof body) => ({ code, title, type });
        expect([each, status, comparable(body)]).toEqual([each, 404, comparable(missing)]);
        expect(body.detail).toBe(`No agent has the id or key ${ref}`);
      }
    }
  });

  it.each(Object.entries(NEEDED))("cannot %s another's task, not even with its token", async (verb, body) => {
    const { headers } = await registered();
    const held = await leaseOne(await registered());
    const path = `/api/v1/tasks/${held.id}/lease/${verb}`;

    const { status, body: problem } = await server.post(path, { ...body, lease_token: held.lease_token }, headers);

    expect([status, problem.code]).toEqual([404, 'task_not_found']);
    const { body: task } = await server.get(`/api/v1/tasks/${held.id}`, admin);
    expect(task.status).toBe('in_progress');
  });

  it("cannot complete another's task among its own", async () => {
    const mine = await registered();
    const own = await leaseOne(mine);
    const foreign = await leaseOne(await registered());
    const results = [own, foreign].map(({ id, lease_token }) => ({ task_id: id, lease_token }));

    const { body } = await server.post('/api/v1/tasks/lease/complete', { results }, mine.headers);

    expect(body).toMatchObject([
      { is_completed: true, problem: null },
      { is_completed: false, problem: { status: 404, code: 'task_not_found' } },
    ]);
  });

  it('sees its own tasks only', async () => {
    const mine = await registered();
    const own = await leaseOne(mine);
    const foreign = await leaseOne(await registered());

    expect((await server.get(`/api/v1/tasks/${own.id}`, mine.headers)).status).toBe(200);
    expect((await server.get(`/api/v1/tasks/${foreign.id}`, mine.headers)).status).toBe(404);
  });

  it.each(Object.keys(NEEDED))('may %s what it holds, and repeat it', async (verb) => {
    const mine = await registered();
    const { id, lease_token } = await leaseOne(mine);
    const body = { ...NEEDED[verb as keyof typeof NEEDED], lease_token };

    const first = await server.post(`/api/v1/tasks/${id}/lease/${verb}`, body, mine.headers);
    const again = await server.post(`/api/v1/tasks/${id}/lease/${verb}`, body, mine.headers);

    expect([first.status, again.status]).toEqual([200, 200]);
  });

  it('hears of itself only', async () => {
    const { agent, key } = await registered();
    const other = await registered();
    const client = await SocketClient.connect(url, { auth: { token: key } });

    expect(await client.join(`agent:${agent.key}`)).toMatchObject({ room: `agent:${agent.id}` });
    expect(await client.join(`agent:${other.agent.id}`)).toMatchObject({ status: 404, code: 'agent_not_found' });
    for (const room of ['dashboard', 'agents', `task:${agent.id}`, `project:${agent.id}`]) {
      expect(await client.join(room)).toMatchObject({ status: 403, code: 'not_allowed' });
    }
    client.close();
  });

  it('gets no task after it was revoked, also when it waits for one', async () => {
    const { id, agent, headers } = await registered();
    const waiting = server.post('/api/v1/tasks/lease', { agent_id: agent.id, wait_seconds: 20 }, headers);
    await eventually(async () => {
      const { body } = await server.get(`/api/v1/agents/${agent.id}`, admin);
      expect(body.last_activity ?? body.updated_at).toBeTruthy();
    });

    await server.request('DELETE', `/api/v1/auth/keys/${id}`, undefined, admin);
    const { body } = await waiting;
    await server.post('/api/v1/tasks', { title: 'Too late', agent_type: agent.type }, admin);

    expect([[], 401]).toContainEqual(Array.isArray(body) ? body : body.status);
    expect((await server.post('/api/v1/tasks/lease', { agent_id: agent.id }, headers)).status).toBe(401);
  });

  it('gets no task after it is over, also when it waits for one', async () => {
    const { agent, headers } = await registered({ expires_at: new Date(Date.now() + 1_500).toISOString() });
    const { body } = await server.post('/api/v1/tasks/lease', { agent_id: agent.id, wait_seconds: 20 }, headers);
    await server.post('/api/v1/tasks', { title: 'Too late', agent_type: agent.type }, admin);

    expect(body).toEqual([]);
    expect((await server.post('/api/v1/tasks/lease', { agent_id: agent.id }, headers)).status).toBe(401);
  });

  it.skipIf(!inject('template'))(
    'gets no task after it was revoked, also when nobody is told of that yet',
    async () => {
      const { id, agent, headers } = await registered();
      const waiting = server.post('/api/v1/tasks/lease', { agent_id: agent.id, wait_seconds: 20 }, headers);
      const letGo = await openTransaction(server, HOLD_BACK_LOG);

      await server.request('DELETE', `/api/v1/auth/keys/${id}`, undefined, admin);
      const { body } = await waiting;

      expect([[], 401]).toContainEqual(Array.isArray(body) ? body : body.status);
      await letGo();
    },
  );

  it('is all that the client needs', async () => {
    const { key } = await agentKey();
    const options = { url, token: key, key: `client_${++count}`, type: `client_${count}` };
    const agent = new FlightdeckAgent({ ...options, handler: (task) => task.title, onReport: () => undefined });
    await agent.start();
    const { body: task } = await server.post('/api/v1/tasks', { title: 'Echo', agent_type: options.type }, admin);

    await eventually(async () => {
      const { body } = await server.get(`/api/v1/tasks/${task.id}`, admin);
      expect(body).toMatchObject({ status: 'completed', output: 'Echo' });
    });
    await agent.stop();
  });
});
