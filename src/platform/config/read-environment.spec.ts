import { describe, expect, it } from 'vitest';
import { Environment } from './environment.js';
import { BadEnvironment, environmentFields, readEnvironment, readServerEnvironment } from './read-environment.js';

function mistakesOf(source: NodeJS.ProcessEnv, read = readEnvironment): readonly string[] {
  try {
    read(source);
    return [];
  } catch (error) {
    return (error as BadEnvironment).mistakes;
  }
}

describe('the environment', () => {
  it('has a default for everything', () => {
    expect(readEnvironment({})).toEqual(new Environment());
    expect(readEnvironment({})).toMatchObject({
      PORT: 8000,
      DATA_DIR: './data',
      LOG_LEVEL: 'info',
      LOG_FORMAT: 'standard',
    });
  });

  it('names all its mistakes in one message', () => {
    const source = {
      ENVIRONMENT: 'moon',
      DEBUG: 'perhaps',
      PORT: '70000',
      DATABASE_URL: 'mysql://root:secret@db/flightdeck',
      REDIS_URL: 'localhost:6379',
      CORS_ORIGINS: '["http://ok.example", 7]',
      LOG_LEVEL: 'loud',
      BODY_LIMIT_BYTES: 'big',
      SWEEP_EVERY_SECONDS: '1.5',
    };

    const mistakes = mistakesOf(source);

    expect(mistakes).toHaveLength(Object.keys(source).length);
    for (const name of Object.keys(source)) expect(mistakes).toContainEqual(expect.stringMatching(`^${name} must`));
    expect(() => readEnvironment(source)).toThrow(/^The environment has mistakes:\n(  - .+\n?){9}$/);
  });

  it.each([
    ['abc', 'must be a whole number'],
    ['80.5', 'must be a whole number'],
    ['0x50', 'must be a whole number'],
    ['-1', 'must not be less than 0'],
    ['65536', 'must not be greater than 65535'],
  ])('says what is wrong with the port %s', (PORT, reason) => {
    expect(mistakesOf({ PORT })).toEqual([`PORT ${reason} (it is '${PORT}')`]);
  });

  it('never shows a URL, which may hold a password', () => {
    const message = mistakesOf({ DATABASE_URL: 'mysql://root:secret@db', REDIS_URL: 'http://:secret@cache' }).join();

    expect(message).toContain('not shown');
    expect(message).not.toContain('secret');
    expect(message).not.toContain('mysql');
  });

  it.each([
    ['ENV', 'production', 'ENVIRONMENT', 'production'],
    ['API_HOST', '10.0.0.1', 'HOST', '10.0.0.1'],
    ['API_PORT', '9000', 'PORT', 9000],
  ])('takes the older name %s', (alias, given, name, value) => {
    expect(readEnvironment({ [alias]: given })).toMatchObject({ [name]: value });
    expect(readEnvironment({ [alias]: given, [name]: '' })).toMatchObject({ [name]: value });
  });

  it('prefers the newer name', () => {
    expect(
      readEnvironment({ PORT: '1', API_PORT: '2', HOST: 'a', API_HOST: 'b', ENVIRONMENT: 'test', ENV: 'production' }),
    ).toMatchObject({
      PORT: 1,
      HOST: 'a',
      ENVIRONMENT: 'test',
    });
  });

  it.each([
    [['true', '1', 'yes', 'on', 'TRUE', ' True '], true],
    [['false', '0', 'no', 'off', 'False', ''], false],
  ])('reads %j as %s', (texts, value) => {
    for (const DEBUG of texts) expect(readEnvironment({ DEBUG }).DEBUG).toBe(value);
  });

  it('treats an empty or blank value as absent', () => {
    const blank = Object.fromEntries(environmentFields().map((name) => [name, '  ']));

    expect(readEnvironment(blank)).toEqual(new Environment());
  });

  it('ignores case and surrounding space where only words are allowed', () => {
    expect(
      readEnvironment({ LOG_LEVEL: ' WARNING', LOG_FORMAT: 'JSON', ENVIRONMENT: 'Production', ROLE: 'API' }),
    ).toMatchObject({
      LOG_LEVEL: 'warning',
      LOG_FORMAT: 'json',
      ENVIRONMENT: 'production',
      ROLE: 'api',
    });
  });

  it('logs more with DEBUG, unless LOG_LEVEL says how much', () => {
    expect(readEnvironment({ DEBUG: 'true' }).LOG_LEVEL).toBe('debug');
    expect(readEnvironment({ DEBUG: 'true', LOG_LEVEL: 'error' }).LOG_LEVEL).toBe('error');
  });

  it('logs for programs in production, unless LOG_FORMAT says otherwise', () => {
    expect(readEnvironment({ ENVIRONMENT: 'production' }).LOG_FORMAT).toBe('json');
    expect(readEnvironment({ ENVIRONMENT: 'production', LOG_FORMAT: 'standard' }).LOG_FORMAT).toBe('standard');
    expect(readEnvironment({}).LOG_FORMAT).toBe('standard');
  });

  it('serves on for a while when it stops in production, unless SHUTDOWN_GRACE_SECONDS says otherwise', () => {
    expect(readEnvironment({}).SHUTDOWN_GRACE_SECONDS).toBe(0);
    expect(readEnvironment({ ENVIRONMENT: 'production' }).SHUTDOWN_GRACE_SECONDS).toBe(5);
    expect(readEnvironment({ ENVIRONMENT: 'production', SHUTDOWN_GRACE_SECONDS: '0' }).SHUTDOWN_GRACE_SECONDS).toBe(0);
  });

  it.each([
    ['ENABLE_RATE_LIMITING', false, true, 'false', false],
    ['OVERLOAD_EVENT_LOOP_LAG_MS', 0, 1_000, '0', 0],
    ['OVERLOAD_POOL_QUEUE', 0, 500, '50', 50],
  ] as const)('protects itself in production, unless %s says otherwise', (name, usual, inProduction, given, own) => {
    expect(readEnvironment({})[name]).toBe(usual);
    expect(readEnvironment({ ENVIRONMENT: 'production' })[name]).toBe(inProduction);
    expect(readEnvironment({ ENVIRONMENT: 'production', [name]: given })[name]).toBe(own);
  });

  it('knows proxies by addresses and networks', () => {
    expect(readEnvironment({ TRUST_PROXY: '10.0.0.1, 10.1.0.0/16,2001:db8::/32' }).trusted_proxies).toEqual([
      '10.0.0.1',
      '10.1.0.0/16',
      '2001:db8::/32',
    ]);
    expect(readEnvironment({}).trusted_proxies).toEqual([]);
  });

  it.each([
    'true',
    '*',
    '1',
    'loopback',
    'proxy.example',
    '10.0.0.0/33',
    '0.0.0.0/0',
    '::/0',
    '10.0.0.1/',
    '10.0.0.1;10.0.0.2',
  ])('trusts no proxy that is called %s', (TRUST_PROXY) => {
    expect(mistakesOf({ TRUST_PROXY })).toEqual([expect.stringMatching(/^TRUST_PROXY must be a comma list/)]);
  });

  it('listens on the loopback, except in production', () => {
    expect(readEnvironment({}).host).toBe('127.0.0.1');
    expect(readEnvironment({ ENVIRONMENT: 'test' }).host).toBe('127.0.0.1');
    expect(readEnvironment({ ENVIRONMENT: 'production' }).host).toBe('0.0.0.0');
    expect(readEnvironment({ ENVIRONMENT: 'production', HOST: '10.1.2.3' }).host).toBe('10.1.2.3');
  });

  it.each([
    ['http://a.example, https://b.example:8443 ,', ['http://a.example', 'https://b.example:8443']],
    ['["http://a.example", "https://b.example"]', ['http://a.example', 'https://b.example']],
    ['http://Localhost:3000/', ['http://localhost:3000']],
    ['*', ['*']],
    ['[]', []],
  ])('reads the origins of %s', (CORS_ORIGINS, origins) => {
    expect(readEnvironment({ CORS_ORIGINS }).cors_origins).toEqual(origins);
  });

  it.each([
    'localhost:3000',
    'http://a.example/path',
    'javascript:alert(1)',
    '["http://a.example"',
    '[1]',
    'ftp://a.example',
  ])('refuses the origins %s', (CORS_ORIGINS) => {
    expect(mistakesOf({ CORS_ORIGINS })).toEqual([
      expect.stringContaining('CORS_ORIGINS must be a comma list or a JSON list'),
    ]);
  });

  it.each([
    'postgres://user:pa%40ss@localhost:5432/flightdeck',
    'postgresql://flightdeck_postgres/flightdeck?sslmode=require',
    'postgresql:///flightdeck?host=/var/run/postgresql',
    'postgres://[::1]:5432/flightdeck',
  ])('takes the database address %s', (DATABASE_URL) => {
    expect(readEnvironment({ DATABASE_URL })).toMatchObject({ DATABASE_URL, is_embedded: false });
  });

  it.each(['redis://:secret@cache_1:6379/0', 'rediss://cache.example'])('takes the Redis address %s', (REDIS_URL) => {
    expect(readEnvironment({ REDIS_URL }).REDIS_URL).toBe(REDIS_URL);
  });
});

describe('a server that others can reach', () => {
  const SECRET_KEY = 'x'.repeat(32);
  const dangersOf = (source: NodeJS.ProcessEnv) => mistakesOf(source, readServerEnvironment);

  it.each([
    ['in production', { ENVIRONMENT: 'production' }],
    ['in production on a loopback address', { ENVIRONMENT: 'production', HOST: '127.0.0.1' }],
    ['on all addresses', { HOST: '0.0.0.0' }],
    ['on all addresses of IPv6', { HOST: '::' }],
    ['on an address of the network', { HOST: '10.0.0.7', ENVIRONMENT: 'test' }],
    ['on a name', { HOST: 'flightdeck.example.com' }],
  ])('%s refuses all that is dangerous there, in one message', (_where, place) => {
    const careless = { ...place, AUTH_MODE: 'off', CORS_ORIGINS: '*', DEBUG: 'true' };

    const dangers = dangersOf(careless);

    expect(dangers.map((danger) => danger.split(' ', 1)[0])).toEqual([
      'AUTH_MODE',
      'SECRET_KEY',
      'SECRET_KEY',
      'CORS_ORIGINS',
      'DEBUG',
    ]);
    expect(dangersOf({ ...careless, SECRET_KEY, AUTH_MODE: '' })).toHaveLength(2);
    expect(dangersOf({ ...place, SECRET_KEY })).toEqual([]);
    expect(readServerEnvironment({ ...place, SECRET_KEY }).requires_authentication).toBe(true);
  });

  it('has a long SECRET_KEY of its own, which is never shown', () => {
    const place = { ENVIRONMENT: 'production' };

    expect(dangersOf({ ...place, SECRET_KEY: 'hunter2' })).toEqual([
      expect.stringMatching(/^SECRET_KEY must have 32 characters or more/),
    ]);
    expect(dangersOf({ ...place, SECRET_KEY: 'hunter2', PORT: 'x' }).join()).not.toContain('hunter2');
  });

  it('says bad values and dangers together', () => {
    expect(dangersOf({ ENVIRONMENT: 'production', PORT: 'x', SECRET_KEY, DEBUG: 'on' })).toEqual([
      expect.stringMatching(/^PORT/),
      expect.stringMatching(/^DEBUG/),
    ]);
  });

  it.each([[{}], [{ HOST: '127.0.0.1' }], [{ HOST: 'localhost' }], [{ HOST: '::1' }], [{ HOST: '127.1.2.3' }]])(
    'is none with %j: there nothing is asked for',
    (source) => {
      expect(dangersOf({ ...source, CORS_ORIGINS: '*', DEBUG: 'true', AUTH_MODE: 'off' })).toEqual([]);
      expect(readServerEnvironment(source).requires_authentication).toBe(false);
      expect(readServerEnvironment({ ...source, AUTH_MODE: 'required' }).requires_authentication).toBe(true);
    },
  );

  it('is no worker, which nobody can ask', () => {
    expect(dangersOf({ ENVIRONMENT: 'production', ROLE: 'worker' })).toEqual([]);
  });
});
