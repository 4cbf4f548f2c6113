import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type ApiDocument,
  apiDocument,
  isOfVersion1,
  named,
  type Operation,
  resolved,
  type Schema,
} from '../support/api-document.js';
import { eventually, HANGING_MS, within } from '../support/eventually.js';
import { complete, fail, lease, makeAgent, makeTask } from '../support/makers.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const UNKNOWN = '01890000-0000-7000-8000-000000000000';
const LIMIT = 1_048_576;

describe('a hostile payload', () => {
  let server: TestApp;
  let url: string;
  let document: ApiDocument;

  beforeAll(async () => {
    server = await startTestApp();
    document = await apiDocument(server);
    url = await server.listen();
  });
  // It looks at the database for less than a second, which may be too short for a busy machine.
  const isReady = async () => expect((await fetch(`${url}/health/ready`)).status).toBe(200);
  afterEach(() => eventually(isReady));
  afterAll(() => server.close());

  const create = (payload: string, headers: Record<string, string> = {}) =>
    server.post('/api/v1/projects', payload, headers);
  const withMetadata = (json: string): string => `{"name":"x","metadata":${json}}`;
  const writing = (): Operation[] =>
    document.operations.filter((operation) => isOfVersion1(operation) && operation.body !== null);

  describe('is refused for its form:', () => {
    const deep = (open: string, close: string): string =>
      withMetadata(`${open.repeat(10_000)}1${close.repeat(10_000)}`);
    const cases: [string, number, string, () => string][] = [
      ['10,000 levels of lists', 422, 'invalid_input', () => deep('[', ']')],
      ['10,000 levels of objects', 422, 'invalid_input', () => deep('{"a":', '}')],
      ['500,000 levels that never end', 400, 'malformed_request', () => '['.repeat(500_000)],
      ['10,000 levels as the body itself', 422, 'invalid_input', () => `${'['.repeat(10_000)}${']'.repeat(10_000)}`],
      ['a text of 5 MB', 413, 'body_too_large', () => `{"name":"${'x'.repeat(5_000_000)}"}`],
      ['blanks of 5 MB', 413, 'body_too_large', () => `${' '.repeat(5_000_000)}{"name":"x"}`],
      ['a key of 5 MB', 413, 'body_too_large', () => `{"${'x'.repeat(5_000_000)}":1}`],
      ['a name of 1 MB', 422, 'invalid_input', () => `{"name":"${'x'.repeat(1_000_000)}"}`],
      ['NaN', 400, 'malformed_request', () => withMetadata('{"a":NaN}')],
      ['Infinity', 400, 'malformed_request', () => withMetadata('{"a":-Infinity}')],
      ['1e400', 422, 'invalid_input', () => withMetadata('{"a":1e400}')],
      ['-1e400', 422, 'invalid_input', () => withMetadata('{"a":[-1E+400]}')],
      ['a whole number that readers change', 422, 'invalid_input', () => withMetadata('{"a":9007199254740993}')],
      ['a number of 100,000 digits', 422, 'invalid_input', () => withMetadata(`{"a":${'9'.repeat(100_000)}}`)],
      ['hexadecimal numbers', 400, 'malformed_request', () => withMetadata('{"a":0x10}')],
      ['leading zeros', 400, 'malformed_request', () => withMetadata('{"a":010}')],
      ['comments', 400, 'malformed_request', () => '{"name":"x"/* */}'],
      ['trailing commas', 400, 'malformed_request', () => '{"name":"x",}'],
      ['single quotes', 400, 'malformed_request', () => "{'name':'x'}"],
      ['two documents', 400, 'malformed_request', () => '{"name":"x"}{"name":"y"}'],
      ['a document that ends early', 400, 'malformed_request', () => '{"name":"x'],
      ['a document that ends in an escape', 400, 'malformed_request', () => String.raw`{"name":"x\u12`],
      ['a real NUL', 400, 'malformed_request', () => '{"name":"\u0000"}'],
      ['a real line feed in a text', 400, 'malformed_request', () => '{"name":"a\nb"}'],
      ['a text', 422, 'invalid_input', () => '"name"'],
      ['a number', 422, 'invalid_input', () => '1'],
      ['a list', 422, 'invalid_input', () => '[{"name":"x"}]'],
      ['null', 422, 'invalid_input', () => 'null'],
      ['nothing', 422, 'invalid_input', () => ''],
      ['blanks', 422, 'invalid_input', () => ' \r\n\t '],
      ['two byte order marks', 400, 'malformed_request', () => '\ufeff\ufeff{"name":"x"}'],
    ];

    it.each(cases)('%s', async (_what, status, code, text) => {
      const answer = await create(text());

      expect(answer).toMatchObject({ status, headers: { 'content-type': 'application/problem+json' }, body: { code } });
    });
  });

  describe('is refused for how it is sent:', () => {
    it.each([
      ['no type', ''],
      ['text', 'text/plain'],
      ['a form', 'application/x-www-form-urlencoded'],
      ['a form of parts', 'multipart/form-data; boundary=x'],
      ['XML', 'application/xml'],
      ['a type that begins alike', 'application/jsonp'],
      ['a type that ends alike', 'x-application/json'],
      ['JSON as text', 'text/json'],
      ['no proper type', 'json'],
      ['two types', 'text/plain, application/json'],
    ])('%s', async (_what, type) => {
      const answer = await create('{"name":"x"}', { 'content-type': type });

      expect(answer).toMatchObject({ status: 415, body: { code: 'unsupported_media_type' } });
    });

    it.each(['gzip', 'deflate', 'br', 'zstd', 'gzip, gzip', 'x'])('compressed by %s', async (encoding) => {
      const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
      const answer = await fetch(`${url}/api/v1/projects`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-encoding': encoding },
        body: bomb,
      });

      expect(answer.status).toBe(415);
      expect(await answer.json()).toMatchObject({ code: 'unsupported_content_encoding' });
    });

    it.each([
      ['UTF-16', Buffer.from('{"name":"x"}', 'utf16le')],
      ['UTF-16 with its mark', Buffer.from('\ufeff{"name":"x"}', 'utf16le')],
      ['Latin-1', Buffer.from('{"name":"ä"}', 'latin1')],
      ['an overlong form', Buffer.from([...Buffer.from('{"name":"'), 0xc0, 0xaf, ...Buffer.from('"}')])],
      ['half a character', Buffer.from([...Buffer.from('{"name":"'), 0xe2, 0x82, ...Buffer.from('"}')])],
      ['half a surrogate pair', Buffer.from([...Buffer.from('{"name":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}')])],
      ['compressed without saying so', gzipSync('{"name":"x"}')],
    ])('as %s', async (_what, body) => {
      const answer = await fetch(`${url}/api/v1/projects`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: new Uint8Array(body),
      });

      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({ code: 'malformed_request' });
    });

    it.each([
      ['a length that is no number', 'Content-Length: x', '{}'],
      ['a negative length', 'Content-Length: -5', '{}'],
      ['two lengths', 'Content-Length: 2\r\nContent-Length: 3', '{}'],
      ['a length and chunks', 'Content-Length: 2\r\nTransfer-Encoding: chunked', '0\r\n\r\n'],
      ['a chunk that is no number', 'Transfer-Encoding: chunked', 'x\r\n{}\r\n0\r\n\r\n'],
      ['an immense chunk', 'Transfer-Encoding: chunked', `${'f'.repeat(40)}\r\n{}`],
      ['chunks that are compressed', 'Transfer-Encoding: gzip, chunked', 'x\r\n'],
      ['an encoding that is hidden', 'Transfer-Encoding: xchunked', '0\r\n\r\n'],
      ['a space before the colon', 'Content-Length : 2', '{}'],
      ['a bare line feed', 'X-A: b\nContent-Length: 2', '{}'],
      ['a folded header', 'X-A: b\r\n c: d', ''],
      ['NUL in a header', 'X-A: \u0000', ''],
      ['a header without a name', ': x', ''],
    ])('%s', async (_what, header, body) => {
      const answer = await exchange(
        url,
        `POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${header}\r\n\r\n${body}`,
      );

      expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
      expect(answer.toLowerCase()).toContain('content-type: application/problem+json');
    });

    it('less than it says, and then nothing: the others are served', async () => {
      const { hostname, port } = new URL(url);
      const silent = Array.from({ length: 100 }, () => connect(Number(port), hostname).on('error', () => undefined));
      for (const socket of silent) {
        socket.write(
          `POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`,
        );
      }

      expect((await within(HANGING_MS, fetch(`${url}/api/v1/projects`))).status).toBe(200);
      for (const socket of silent) socket.destroy();
    });

    it('more than it says: the rest is no request', async () => {
      const text = '{"name":"Only this"}';
      const answer = await exchange(
        url,
        `POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}{"name":"not this"}\r\n\r\n`,
      );

      expect(answer).toMatch(/HTTP\/1\.1 400 (?!.*HTTP\/)/s);
      expect((await server.get<unknown[]>('/api/v1/projects?search=not%20this')).body).toEqual([]);
    });
  });

  it.each([
    ['the last of two equal keys', '{"name":"first","name":"last"}', { name: 'last' }],
    ['a byte order mark', '\ufeff{"name":"marked"}', { name: 'marked' }],
    ['empty keys', withMetadata('{"":{"":[""]}}'), { metadata: { '': { '': [''] } } }],
    [
      'keys that look like places',
      withMetadata('{"10":1,"-1":2,"a.b":3,"a/b~c":4}'),
      { metadata: { '10': 1, '-1': 2, 'a.b': 3, 'a/b~c': 4 } },
    ],
    ['100,000 elements', withMetadata(`{"a":[${'1,'.repeat(99_999)}1]}`), { metadata: { a: { length: 100_000 } } }],
    [
      '50,000 keys',
      withMetadata(`{${Array.from({ length: 50_000 }, (_, index) => `"${index}":1`).join(',')}}`),
      { metadata: { 49_999: 1 } },
    ],
    ['the smallest numbers', withMetadata('{"a":[-0,5e-324,1e-400]}'), { metadata: { a: { length: 3 } } }],
    ['32 levels', `{"name":"x","metadata":${'{"a":'.repeat(30)}1${'}'.repeat(30)}}`, { name: 'x' }],
    [
      'all other odd characters',
      withMetadata(String.raw`{"a":"\u0001\u001b\u007f\u0085\u2028\ufeff\uffff\ud83d\ude00"}`),
      { metadata: { a: '\u0001\u001b\u007f\u0085\u2028\ufeff\uffff\u{1f600}' } },
    ],
  ])('may hold %s', async (_what, text, expected) => {
    const { status, body } = await create(text);

    expect(status).toBe(201);
    expect(body).toMatchObject(expected);
    expect((await server.get(`/api/v1/projects/${body.id}`)).body).toEqual(body);
  });

  describe('in each field of each body:', () => {
    /** Paths to every field, also within objects and lists. */
    function* placesIn(schema: Schema, way: string[] = []): Generator<string[]> {
      const all = resolved(document, schema);
      if (way.length > 4) return;
      for (const option of all.anyOf ?? []) yield* placesIn(option, way);
      for (const [name, child] of Object.entries(all.properties ?? {})) {
        yield [...way, name];
        yield* placesIn(child, [...way, name]);
      }
      if (all.items) yield* placesIn(all.items, [...way, '0']);
    }

    const bodyWith = (way: string[], value: unknown): unknown =>
      way.toReversed().reduce((inner, key) => (key === '0' ? [inner] : { [key]: inner }), value);

    it.each([
      ['NUL', '"a\\u0000b"', /U\+0000/],
      ['half a surrogate pair', '"a\\ud800b"', /surrogate/],
      ['the other half', '"a\\udc00\\ud800b"', /surrogate/],
      ['NUL as a key', '{"\\u0000":1}', /U\+0000/],
      ['half a surrogate pair deep within', '[[{"a":"\\udfff"}]]', /surrogate/],
    ])('%s', async (_what, json, reason) => {
      const asked = new Set<string>();
      for (const operation of writing()) {
        for (const way of placesIn(operation.body!)) {
          const text = JSON.stringify(bodyWith(way, 'HERE')).replace('"HERE"', () => json);
          const { status, body } = await server.request(
            operation.method,
            operation.path.replaceAll(/\{\w+\}/g, UNKNOWN),
            text,
          );

          expect([named(operation), way, status]).toEqual([named(operation), way, 422]);
          expect(body.detail).toMatch(reason);
          asked.add(`${named(operation)} ${way.join('/')}`);
        }
      }
      expect(asked.size).toBeGreaterThan(150);
    });

    it('100,000 elements where a list belongs, or does not', async () => {
      for (const element of ['0', '{}', '""', 'null', '[]']) {
        const list = `[${`${element},`.repeat(99_999)}${element}]`;
        for (const operation of writing()) {
          const names = Object.keys(resolved(document, operation.body!).properties ?? {});
          const lists = names.filter((name) =>
            /list|steps|tags|ids|results|tools|capabilities|dependencies|agents|definition/.test(name),
          );
          for (const name of lists) {
            const text = name === 'definition' ? `{"definition":{"steps":${list}}}` : `{"${name}":${list}}`;
            const answer = await server.app.inject({
              method: operation.method,
              url: operation.path.replaceAll(/\{\w+\}/g, UNKNOWN),
              headers: { 'content-type': 'application/json' },
              payload: text,
            });

            expect([named(operation), name, answer.statusCode]).toEqual([named(operation), name, 422]);
            // What is refused costs its sender more than it costs us.
            expect(answer.rawPayload.length, `${named(operation)} ${name}`).toBeLessThan(text.length);
          }
        }
      }
    }, 120_000);
  });

  it('is not answered with many times its size', async () => {
    const key = 'x'.repeat(500_000);
    for (const text of [
      `{"${key}":[${String.raw`"\u0000",`.repeat(100)}0]}`,
      `{"${key}":{"__proto__":1}}`,
      `{"name":"${key}"}`,
      `{"name":${key}}`,
    ]) {
      const { status, body } = await create(text);

      expect([400, 422]).toContain(status);
      expect(JSON.stringify(body).length).toBeLessThan(text.length);
    }
  });

  it.each([
    ['100,000 keys', () => Array.from({ length: 100_000 }, (_, index) => `k${index}=1`).join('&')],
    ['100,000 values', () => 'tags=a&'.repeat(100_000)],
    ['one value of 1 MB', () => `search=${'x'.repeat(1_000_000)}`],
    ['1 MB of ampersands', () => '&'.repeat(1_000_000)],
  ])('in the query is refused: %s', async (_what, query) => {
    const answer = await exchange(
      url,
      `GET /api/v1/projects?${query()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );

    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(answer.toLowerCase()).toContain('content-type: application/problem+json');
  });

  describe('in the path', () => {
    it.each([
      ['a slash', '%2f'],
      ['two slashes', '%2F%2f'],
      ['a slash that is escaped twice', '%252f'],
      ['a step up', '..%2f..%2fetc%2fpasswd'],
      ['a step up, escaped twice', '%252e%252e%252f'],
      ['a backslash', '..%5c..%5cwindows'],
      ['NUL', '%00'],
      ['NUL after an id', `${UNKNOWN}%00`],
      ['a line feed after an id', `${UNKNOWN}%0a`],
      ['a blank before an id', `%20${UNKNOWN}`],
      ['an id in braces', `%7b${UNKNOWN}%7d`],
      ['an id of other digits', UNKNOWN.replaceAll('0', '%EF%BC%90')],
      ['an id and more', `${UNKNOWN};x=y`],
      ['half a character', '%e2%82'],
      ['half a surrogate pair', '%ed%a0%80'],
      ['no escape', '%zz'],
      ['half an escape', '%2'],
      ['10,000 characters', 'x'.repeat(10_000)],
      ['an emoji', '%F0%9F%98%80'],
      ['a prototype', '__proto__'],
    ])('%s is no id', async (_what, id) => {
      for (const path of [
        `/api/v1/tasks/${id}`,
        `/api/v1/runs/${id}/pause`,
        `/api/v1/workflows/${UNKNOWN}/agents/${id}`,
      ]) {
        const method = path.endsWith('pause') ? 'POST' : path.includes('/agents/') ? 'DELETE' : 'GET';
        const { status, headers } = await server.request(method, path);

        // An agent's key may be any word.
        expect([400, 422, ...(path.includes('/agents/') ? [404] : [])]).toContain(status);
        expect(headers['content-type']).toBe('application/problem+json');
      }
    });

    it.each([
      '/docs/../../package.json',
      '/docs/..%2f..%2fpackage.json',
      '/docs/..%5c..%5cpackage.json',
      '/docs/%2e%2e/%2e%2e/package.json',
      '/docs/%252e%252e%252fpackage.json',
      '/docs/....//....//package.json',
      '/docs//etc/passwd',
      '/docs/%2fetc%2fpasswd',
      '/docs/package.json',
      '/docs/absolute-path.js',
      '/docs/index.js',
      '/docs/README.md',
      '/docs/swagger-ui.css%00.js',
      '/docs/.npmignore',
      '/docs/.%2f.%2fpackage.json',
      '/redoc/../package.json',
      '/redoc/..%2f..%2fpackage.json',
      '/redoc/redoc.standalone.js%2f..%2f..%2fpackage.json',
      '/redoc/redoc.standalone.js.map',
      '/redoc/redoc.standalone.js.LICENSE.txt',
      '/socket.io/socket.io.js',
      '/.env',
      '/.git/config',
      '/package.json',
      '/src/main.ts',
      '//etc/passwd',
      '/api/v1/../../package.json',
    ])('%s leads to no file', async (path) => {
      // As bytes: a client of ours would tidy the path up.
      const answer = await exchange(url, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);

      expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
      expect(answer).not.toMatch(/root:|"version":|"dependencies"|import /);
    });
  });

  it('that sets counters to their end keeps no lease from ending', async () => {
    const most = 2_147_483_647;
    const agent = await makeAgent(server, { max_concurrent_tasks: 3 });
    await server.patch(`/api/v1/agents/${agent.id}/metrics`, {
      tasks_completed: most,
      tasks_failed: most,
      error_count: most,
    });
    for (let index = 0; index < 3; index++) await makeTask(server, { agent_type: agent.type, max_attempts: 1 });
    const [first, second, third] = await lease(server, agent, { max_tasks: 3, lease_seconds: 5 });

    expect((await complete(server, first!)).status).toBe(200);
    expect((await fail(server, second!)).status).toBe(200);
    await server.database.query('UPDATE tasks SET lease_expires_at = now() WHERE id = $1', [third!.task.id]);

    await eventually(async () =>
      expect((await server.get(`/api/v1/tasks/${third!.task.id}`)).body).toMatchObject({ status: 'failed' }),
    );
    expect((await server.get(`/api/v1/agents/${agent.id}`)).body.performance_metrics).toMatchObject({
      tasks_completed: most,
      tasks_failed: most,
      error_count: most,
    });
  });

  it('as large as may be goes through all of it in a bounded time', async () => {
    const texts = [
      withMetadata(`{"a":"${String.raw`\"`.repeat(LIMIT / 2 - 50)}"}`),
      withMetadata(`{"a":"${String.raw`\\`.repeat(LIMIT / 2 - 50)}"}`),
      withMetadata(`{"a":"${'1'.repeat(LIMIT - 100)}"}`),
      withMetadata(`[${'1234567890123456,'.repeat(60_000)}1]`),
      withMetadata(`[${'"e999",'.repeat(140_000)}1]`),
    ];
    for (const text of texts) expect([201, 422]).toContain((await within(HANGING_MS, create(text))).status);
  });
});

/** Sends bytes as they are, and reads until the server closes. */
async function exchange(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  socket.setTimeout(3_000, () => socket.destroy());
  socket.write(request, 'latin1');
  let answer = '';
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
    });
    socket.on('close', () => resolve(answer));
  });
}
