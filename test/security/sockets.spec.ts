import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '@flightdeck/client';
import { eventually, within } from '../support/eventually.js';
import { bearer, firstKey } from '../support/keys.js';
import { Nodes } from '../support/nodes.js';
import { SocketClient } from '../support/socket-client.js';
import type { TestApp } from '../support/test-app.js';

/** On two nodes: what happens to a key on one of them is known on the other. */
describe('a socket', () => {
  let nodes: Nodes;
  let here: TestApp;
  let there: TestApp;
  let url: string;
  let admin: Record<string, string>;
  const clients: SocketClient[] = [];

  beforeAll(async () => {
    nodes = await Nodes.prepare({ AUTH_MODE: 'required' });
    [here, there] = [await nodes.start(), await nodes.start()];
    url = await there.listen();
    admin = bearer(await firstKey(here));
  });
  afterAll(() => nodes.close());
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  const make = async (fields: object = {}) =>
    (await here.post('/api/v1/auth/keys', { name: 'a socket', role: 'viewer', ...fields }, admin)).body;
  const connect = async (options: Parameters<typeof SocketClient.connect>[1]) => {
    const client = await SocketClient.connect(url, options);
    clients.push(client);
    return client;
  };

  it.each([
    ['auth', (token: string) => ({ auth: { token } })],
    ['Authorization', (token: string) => ({ extraHeaders: { authorization: `Bearer ${token}` } })],
    ['X-API-Key', (token: string) => ({ extraHeaders: { 'x-api-key': token } })],
  ])('proves by %s whose it is', async (_where, options) => {
    const client = await connect(options((await make()).key));

    expect(await client.join('tasks')).toMatchObject({ room: 'tasks' });
  });

  it.each([
    ['none', {}, 'credential_missing'],
    ['no text', { auth: { token: { length: 1 } } }, 'credential_missing'],
    ['a wrong one', { auth: { token: `fd_${'0'.repeat(12)}_${'0'.repeat(48)}` } }, 'credential_refused'],
    ['control characters', { auth: { token: '\u001b[31m\r\nINFO all is well' } }, 'credential_refused'],
  ])('is refused with a problem document when its token is %s', async (_what, options, code) => {
    await expect(connect(options)).rejects.toMatchObject({ data: { status: 401, code, detail: expect.any(String) } });
  });

  it('is ended, with the reason, when its key is revoked on another node', async () => {
    const { id, key } = await make();
    const [client, other] = [
      await connect({ auth: { token: key } }),
      await connect({ auth: { token: (await make()).key } }),
    ];

    await here.request('DELETE', `/api/v1/auth/keys/${id}`, undefined, admin);

    await client.untilDisconnected();
    expect(client.payloads('credential_ended')).toMatchObject([{ status: 401, code: 'credential_refused' }]);
    await expect(connect({ auth: { token: key } })).rejects.toMatchObject({ data: { code: 'credential_refused' } });
    await other.settle();
    expect(other.disconnected).toBeNull();
  });

  it('is ended when its key expires, and is told before', async () => {
    const expires_at = new Date(Date.now() + 2_000).toISOString();
    const client = await connect({ auth: { token: (await make({ expires_at })).key } });

    await client.untilDisconnected();

    expect(client.received.map(({ name }) => name)).toEqual(['credential_expiring', 'credential_ended']);
    expect(client.payloads('credential_expiring')).toEqual([{ expires_at }]);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expires_at));
  });

  it('with the secret before a rotation is ended when the overlap is over', async () => {
    const { id, key } = await make();
    const client = await connect({ auth: { token: key } });

    const { body } = await here.post(`/api/v1/auth/keys/${id}/rotate`, { overlap_seconds: 1 }, admin);

    await client.untilDisconnected();
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(body.previous_valid_until));
    const next = await connect({ auth: { token: body.key } });
    expect(await next.join('tasks')).toMatchObject({ room: 'tasks' });
  });

  it('goes on with another credential of the same role', async () => {
    const [first, second] = [await make(), await make()];
    const client = await connect({ auth: { token: first.key } });
    await client.join('projects');

    expect(await client.send('authenticate', { token: second.key })).toEqual({ role: 'viewer', expires_at: null });
    await here.request('DELETE', `/api/v1/auth/keys/${first.id}`, undefined, admin);
    await here.post('/api/v1/projects', { name: 'Heard' }, admin);

    await eventually(() => expect(client.payloads('project_created')).toHaveLength(1));
    expect(client.disconnected).toBeNull();
    await here.request('DELETE', `/api/v1/auth/keys/${second.id}`, undefined, admin);
    await client.untilDisconnected();
  });

  it('becomes no other caller', async () => {
    const client = await connect({ auth: { token: (await make()).key } });

    expect(await client.send('authenticate', { token: (await make({ role: 'operator' })).key })).toMatchObject({
      status: 403,
      code: 'not_allowed',
    });
    expect(await client.send('authenticate', { token: 'nonsense' })).toMatchObject({ status: 401 });
    expect(await client.send('authenticate', {})).toMatchObject({ status: 422 });
    expect(await client.send('ping')).toMatchObject({ timestamp: expect.any(String) });
  });

  it('of the client does not try again for ever with a token that was refused', async () => {
    const { id, key } = await make();
    const watch = createClient({ url, token: key }).watch('tasks', { onEvent: () => undefined });
    await watch.ready;

    await here.request('DELETE', `/api/v1/auth/keys/${id}`, undefined, admin);

    await expect(within(20_000, watch.closed)).rejects.toThrow('The watch is refused: The credential is not valid');
  });

  it('is not the only thing that ends: requests are refused on the other node too', async () => {
    const { id, key } = await make();
    expect((await there.get('/api/v1/tasks', bearer(key))).status).toBe(200);

    await here.request('DELETE', `/api/v1/auth/keys/${id}`, undefined, admin);

    await eventually(async () => expect((await there.get('/api/v1/tasks', bearer(key))).status).toBe(401));
  });
});
