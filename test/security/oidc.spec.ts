import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bearer } from '../support/keys.js';
import { SocketClient } from '../support/socket-client.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

const AUDIENCE = 'flightdeck';
const PROJECT = '01890000-0000-7000-8000-000000000001';
const AGENT = '01890000-0000-7000-8000-000000000002';

/** An identity provider, as small as one can be. */
class Issuer {
  readonly asked: string[] = [];
  isAway = false;
  private readonly server: Server;

  constructor(private readonly keys: object[]) {
    this.server = createServer(({ url = '' }, response) => {
      this.asked.push(url);
      const answers: Record<string, object> = {
        '/.well-known/openid-configuration': { issuer: this.url, jwks_uri: `${this.url}/keys` },
        '/keys': { keys: this.keys },
      };
      const answer = this.isAway ? undefined : answers[url];
      response.writeHead(answer ? 200 : 500, { 'content-type': 'application/json' }).end(JSON.stringify(answer ?? {}));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  async listen(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

describe('a token of the OIDC issuer', () => {
  let server: TestApp;
  let issuer: Issuer;
  let pair: Pair;
  let stranger: Pair;

  beforeAll(async () => {
    pair = await generateKeyPair('RS256', { extractable: true });
    stranger = await generateKeyPair('RS256', { extractable: true });
    issuer = new Issuer([{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }]);
    await issuer.listen();
    server = await startTestApp({
      environment: {
        AUTH_MODE: 'required',
        OIDC_ISSUER: issuer.url,
        OIDC_AUDIENCE: AUDIENCE,
        OIDC_ROLE_CLAIM: 'realm_access.roles',
      },
      isListening: true,
    });
    await server.listen();
  });
  afterAll(async () => {
    await server.close();
    issuer.close();
  });

  const now = () => Math.floor(Date.now() / 1000);
  const claims = (more: JWTPayload = {}): JWTPayload => ({
    iss: issuer.url,
    aud: AUDIENCE,
    sub: 'ada@example.org',
    exp: now() + 600,
    realm_access: { roles: ['viewer'] },
    ...more,
  });
  const sign = (payload: JWTPayload = claims(), header: object = {}, key: Pair['privateKey'] = pair.privateKey) =>
    new SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid: 'one', ...header }).sign(key);
  const me = (token: string) => server.get('/api/v1/auth/me', bearer(token));

  it('says who is calling', async () => {
    const { status, body } = await me(await sign(claims({ name: 'Ada', project_id: PROJECT })));

    expect(status).toBe(200);
    expect(body).toEqual({
      kind: 'token',
      id: 'ada@example.org',
      name: 'Ada',
      role: 'viewer',
      project_id: PROJECT,
      agent_id: null,
      key_prefix: null,
      expires_at: expect.any(String),
    });
  });

  it.each([
    [['viewer', 'operator'], 'operator'],
    [['everything', 'admin'], 'admin'],
    ['agent', 'agent'],
  ])('with the roles %j has the role %s', async (roles, role) => {
    const token = await sign(claims({ realm_access: { roles }, agent_id: AGENT }));

    expect((await me(token)).body).toMatchObject({ role, agent_id: role === 'agent' ? AGENT : null });
  });

  it('of role agent registers none, and is the one that it names', async () => {
    const admin = bearer(await sign(claims({ realm_access: { roles: ['admin'] } })));
    const { body: agent } = await server.post('/api/v1/agents', { name: 'Ada', type: 'writer' }, admin);
    const token = bearer(await sign(claims({ realm_access: { roles: ['agent'] }, agent_id: agent.id })));

    const { status, body } = await server.post('/api/v1/agents', { name: 'Bob', type: 'writer' }, token);

    expect([status, body.code]).toEqual([403, 'not_allowed']);
    expect((await server.post(`/api/v1/agents/${agent.id}/heartbeat`, {}, token)).status).toBe(200);
    expect(await server.events({ agent_id: agent.id })).toMatchObject([
      { type: 'agent_created', actor_type: 'token', actor_id: 'ada@example.org' },
    ]);
  });

  it('is looked at once, not with every request', async () => {
    const token = await sign(claims({ jti: 'often' }));
    await me(token);
    const asked = issuer.asked.length;

    for (let count = 0; count < 5; count++) expect((await me(token)).status).toBe(200);

    expect(issuer.asked).toHaveLength(asked);
  });

  describe('is refused', () => {
    const unsigned = () => new UnsecuredJWT(claims()).encode();
    const withPublicKeyAsSecret = async () => {
      const secret = new TextEncoder().encode(await exportSPKI(pair.publicKey));
      return new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: 'one' }).sign(secret);
    };
    const altered = async () => {
      const [head, , signature] = (await sign()).split('.');
      const payload = Buffer.from(JSON.stringify(claims({ realm_access: { roles: ['admin'] } }))).toString('base64url');
      return `${head}.${payload}.${signature}`;
    };
    const withOwnKey = async () => {
      const jwk = await exportJWK(stranger.publicKey);
      return sign(claims(), { jwk, jku: `${issuer.url}/keys` }, stranger.privateKey);
    };

    it.each<[string, () => string | Promise<string>]>([
      ['without a signature (none)', unsigned],
      ['signed with the public key as a secret', withPublicKeyAsSecret],
      ['signed with another key', () => sign(claims(), {}, stranger.privateKey)],
      ['signed with a key that it brings along', withOwnKey],
      ['with a path as its kid', () => sign(claims(), { kid: '../../../../dev/null' }, stranger.privateKey)],
      ['with SQL as its kid', () => sign(claims(), { kid: `' OR 1=1 --` }, stranger.privateKey)],
      ['altered', altered],
      ['expired', () => sign(claims({ exp: now() - 60 }))],
      ['without an end', () => sign(claims({ exp: undefined }))],
      ['not yet valid', () => sign(claims({ nbf: now() + 60 }))],
      ['for another audience', () => sign(claims({ aud: 'others' }))],
      ['without an audience', () => sign(claims({ aud: undefined }))],
      ['of another issuer', () => sign(claims({ iss: 'https://elsewhere.example' }))],
      ['without a subject', () => sign(claims({ sub: undefined }))],
      ['cut short', async () => (await sign()).slice(0, -20)],
      ['no token at all', () => 'a.b.c'],
    ])('%s', async (_what, make) => {
      const { status, body } = await me(await make());

      expect([status, body.code]).toEqual([401, 'credential_refused']);
    });

    it.each([
      ['without a role', { realm_access: undefined }],
      ['with no role of ours', { realm_access: { roles: ['king'] } }],
      ['with a role that only its prototype has', { realm_access: { roles: ['constructor'] } }],
      ['with a project that is no id', { project_id: '*' }],
      ['with several projects', { project_id: [PROJECT, AGENT] }],
    ])('%s, as nothing is allowed to it', async (_what, more) => {
      const { status, body } = await me(await sign(claims(more)));

      expect([status, body.code]).toEqual([403, 'not_allowed']);
    });
  });

  it('opens a socket, which ends with it', async () => {
    const exp = now() + 2;
    const url = (await server.app.getUrl()).replace('[::1]', '127.0.0.1');
    const client = await SocketClient.connect(url, { auth: { token: await sign(claims({ exp })) } });

    await client.untilDisconnected();

    expect(client.payloads('credential_ended')).toHaveLength(1);
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
  });

  describe('while the issuer is away', () => {
    let other: TestApp;

    beforeEach(async () => {
      const environment = { AUTH_MODE: 'required', OIDC_ISSUER: issuer.url, OIDC_AUDIENCE: AUDIENCE };
      other = await startTestApp({ environment: { ...environment, OIDC_ROLE_CLAIM: 'realm_access.roles' } });
      return () => other.close();
    });

    it('gets 503, and is taken as soon as it is back', async () => {
      const ask = async () => other.get('/api/v1/auth/me', bearer(await sign()));
      issuer.isAway = true;
      const { status, headers, body } = await ask();
      issuer.isAway = false;

      expect([status, body.code]).toEqual([503, 'identity_provider_unavailable']);
      expect(headers['retry-after']).toBeDefined();
      expect((await ask()).status).toBe(200);
    });
  });
});
