import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeAgent, makeProject, makeTask, makeWorkflow } from './support/makers.js';
import { type Answer, startTestApp, type TestApp } from './support/test-app.js';

const ROWS = 250;
/** Divides no number of rows evenly. */
const PAGE = 41;
const ORDERS = ['asc', 'desc'];

interface Item {
  id: string;
  [field: string]: unknown;
}

interface Page {
  items: Item[];
  next_cursor: string | null;
}

/** Makes the one row many, with the given SQL for some of its columns; `n` counts. */
async function multiply(server: TestApp, table: string, id: string, count: number, columns: string): Promise<void> {
  await server.database.query(
    `INSERT INTO ${table}
     SELECT (json_populate_record(r, to_json(c))).* FROM ${table} r, generate_series(1, ${count}) AS n,
     LATERAL (SELECT gen_random_uuid() AS id, n AS counted, ${columns} OFFSET 0) AS c WHERE r.id = $1`,
    [id],
  );
}

async function walk(
  server: TestApp,
  url: string,
  afterEachPage = async (): Promise<unknown> => undefined,
): Promise<Item[]> {
  const items: Item[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const answer: Answer<Page> = await server.get<Page>(`${url}&limit=${PAGE}${cursor && `&cursor=${cursor}`}`);
    expect(answer.status).toBe(200);
    expect(answer.body.items.length).toBeLessThanOrEqual(PAGE);
    items.push(...answer.body.items);
    cursor = answer.body.next_cursor;
    await afterEachPage();
  }
  return items;
}

const idsOf = (items: Item[]): string[] => items.map(({ id }) => id);

describe('the shape of a list', () => {
  let server: TestApp;
  let newest: Item;

  beforeAll(async () => {
    server = await startTestApp();
    const { id } = await makeProject(server);
    await multiply(server, 'projects', id, 119, "now() - n * interval '1 second' AS created_at");
    newest = await makeProject(server, { name: 'Newest' });
  });
  afterAll(() => server.close());

  it.each(['v1', 'v2'])('is an array with headers in %s', async (version) => {
    const { body, headers } = await server.get(`/api/${version}/projects?limit=50&skip=50&status=active`);

    expect(body).toHaveLength(50);
    expect(headers).toMatchObject({
      'x-total-count': '121',
      'x-page-size': '50',
      'x-current-page': '2',
      'x-total-pages': '3',
      'x-next-cursor': expect.stringMatching(/^[\w-]+$/),
      link: `</api/${version}/projects?limit=50&status=active&cursor=${String(headers['x-next-cursor'])}>; rel="next"`,
    });
    expect(headers).not.toHaveProperty('x-total-count-estimated');
  });

  it('is an envelope without version', async () => {
    const { body, headers } = await server.get('/api/projects?limit=50&skip=50');

    expect(Object.keys(body)).toEqual(['items', 'total', 'skip', 'limit', 'next_cursor']);
    expect(body).toMatchObject({ total: 121, skip: 50, limit: 50, next_cursor: expect.stringMatching(/^[\w-]+$/) });
    expect(body.items).toHaveLength(50);
    expect(headers).not.toHaveProperty('x-total-count');
  });

  it('has 100 items by default, 50 without version', async () => {
    expect((await server.get('/api/v1/projects')).body).toHaveLength(100);
    expect((await server.get('/api/v2/projects')).headers['x-page-size']).toBe('100');
    expect((await server.get('/api/projects')).body).toMatchObject({ limit: 50, items: { length: 50 } });
  });

  it('begins with the newest', async () => {
    const { body } = await server.get<Item[]>('/api/v1/projects?limit=1000');

    expect(body[0]).toEqual(newest);
    const times = body.map(({ created_at }) => String(created_at));
    expect(times).toEqual(times.toSorted().toReversed());
  });

  it('can be followed by its Link and counts its pages on the way', async () => {
    const pages: number[] = [];
    const items: Item[] = [];
    for (let url: string | undefined = '/api/v1/projects?limit=50&sort_by=name&sort_order=asc'; url;) {
      const { body, headers }: Answer<Item[]> = await server.get<Item[]>(url);
      items.push(...body);
      pages.push(Number(headers['x-current-page']));
      url = /^<(.+)>; rel="next"$/.exec(String(headers.link))?.[1];
    }

    expect(pages).toEqual([1, 2, 3]);
    expect(new Set(idsOf(items)).size).toBe(121);
  });

  it('says where it ends', async () => {
    const { body, headers } = await server.get('/api/v1/projects?limit=1000');
    const beyond = await server.get('/api/projects?skip=5000');

    expect(body).toHaveLength(121);
    expect(headers).not.toHaveProperty('x-next-cursor');
    expect(headers).not.toHaveProperty('link');
    expect(beyond.body).toMatchObject({ items: [], total: 121, skip: 5000, next_cursor: null });
  });

  it('leaves the total out with count=none', async () => {
    const { headers } = await server.get('/api/v1/projects?count=none');

    expect(headers).not.toHaveProperty('x-total-count');
    expect(headers).not.toHaveProperty('x-total-pages');
    expect((await server.get('/api/projects?count=none')).body).toMatchObject({ total: null, items: { length: 50 } });
  });

  it.each([
    'limit=0',
    'limit=1001',
    'limit=-1',
    'limit=ten',
    'limit=1.5',
    'limit=',
    'limit=5&limit=6',
    'skip=-1',
    'skip=x',
    'skip=9999999999999',
    'sort_by=colour',
    'sort_by=constructor',
    'sort_order=up',
    'count=some',
    'cursor=',
    'cursor=nonsense',
    'status=unknown',
    'search=',
    'search=%00',
  ])('is refused for ?%s', async (query) => {
    const answer = await server.get(`/api/v1/projects?${query}`);

    expect(answer).toMatchObject({
      status: 422,
      body: { code: 'invalid_input', errors: [{ pointer: query.split('=', 1)[0] }] },
    });
  });

  it('does not take a cursor of any length', async () => {
    expect((await server.get(`/api/v1/projects?cursor=${'a'.repeat(3000)}`)).status).toBe(422);
  });

  it('takes either skip or a cursor', async () => {
    const { next_cursor } = (await server.get('/api/projects')).body;

    expect((await server.get(`/api/projects?cursor=${next_cursor}&skip=0`)).body).toMatchObject({
      status: 422,
      errors: [{ pointer: 'cursor', detail: 'cannot be used together with skip' }],
    });
  });

  it.each([
    ['another order', 'sort_by=name', 'sort_by=name&sort_order=asc'],
    ['another column', 'sort_by=name', 'sort_by=status'],
  ])('does not take a cursor of %s', async (_what, given, asked) => {
    const { next_cursor } = (await server.get(`/api/projects?${given}`)).body;

    expect((await server.get(`/api/projects?${asked}&cursor=${next_cursor}`)).body).toMatchObject({
      status: 422,
      errors: [{ pointer: 'cursor', detail: 'belongs to a list in another order' }],
    });
  });

  it('does not take a cursor of another list', async () => {
    const { next_cursor } = (await server.get('/api/projects')).body;

    for (const list of ['agents', 'tasks', 'workflows']) {
      expect((await server.get(`/api/${list}?cursor=${next_cursor}`)).body).toMatchObject({
        status: 422,
        errors: [{ pointer: 'cursor', detail: 'is not a cursor that this list gave' }],
      });
    }
  });

  it.each(['abc', '1.5', '', '0x10', '1e1', '%2010', '10%20', '%2B5', '1_0', '5&limit=6'])(
    'needs a whole number in plain digits for a limit, not %j',
    async (limit) => {
      expect((await server.get(`/api/v1/projects?limit=${limit}`)).body).toMatchObject({
        status: 422,
        errors: [{ pointer: 'limit', detail: 'must be a whole number' }],
      });
    },
  );

  it.each([
    ['limit=0', 'must not be less than 1'],
    ['limit=1001', 'must not be greater than 1000'],
    ['skip=-1', 'must not be less than 0'],
    ['skip=1e1', 'must be a whole number'],
  ])('says what is wrong with ?%s', async (query, detail) => {
    expect((await server.get(`/api/v1/projects?${query}`)).body).toMatchObject({ status: 422, errors: [{ detail }] });
  });

  it.each([
    ['text where a time should be', 'yesterday-ish'],
    ['null where none can be', null],
  ])('does not take a forged cursor with %s', async (_what, value) => {
    const forged = Buffer.from(JSON.stringify(['projects', 'created_at', 'desc', value, newest.id, 0])).toString(
      'base64url',
    );

    expect((await server.get(`/api/projects?cursor=${forged}`)).body).toMatchObject({
      status: 422,
      errors: [{ pointer: 'cursor' }],
    });
  });
});

describe('a walk by cursor', () => {
  let server: TestApp;
  const counts: Record<string, number> = {};

  beforeAll(async () => {
    server = await startTestApp();
    const times =
      "now() - (n % 7) * interval '1 hour' AS created_at, now() - (n % 11) * interval '1 hour' AS updated_at";
    const project = await makeProject(server);
    const agent = await makeAgent(server);
    const task = await makeTask(server);
    const workflow = await makeWorkflow(server);
    await multiply(server, 'projects', project.id, ROWS - 1, `'Tie ' || n % 9 AS name, ${times}`);
    await multiply(server, 'agents', agent.id, ROWS - 1, `'Tie ' || n % 9 AS name, 'type ' || n AS type, ${times}`);
    await multiply(server, 'workflows', workflow.id, ROWS - 1, `'Tie ' || n % 9 AS name, ${times}`);
    await multiply(
      server,
      'tasks',
      task.id,
      ROWS - 1,
      `(ARRAY['low', 'medium', 'high', 'critical'])[1 + n % 4] AS priority,
       CASE WHEN n % 3 > 0 THEN now() + (n % 5) * interval '1 day' END AS due_date, ${times}`,
    );
    for (const list of ['projects', 'agents', 'workflows', 'tasks']) counts[list] = ROWS;
  });
  afterAll(() => server.close());

  const cases = Object.entries({
    projects: ['name', 'status', 'created_at', 'updated_at'],
    agents: ['name', 'status', 'created_at', 'updated_at'],
    workflows: ['name', 'status', 'created_at', 'updated_at'],
    tasks: ['priority', 'due_date', 'created_at', 'updated_at'],
  }).flatMap(([list, sorts]) => sorts.flatMap((sort) => ORDERS.map((order) => [list, sort, order] as const)));

  it.each(cases)('meets each of the %s once, by %s %s', async (list, sort, order) => {
    const items = await walk(server, `/api/${list}?sort_by=${sort}&sort_order=${order}`);
    const whole = await server.get(`/api/${list}?limit=1000&sort_by=${sort}&sort_order=${order}`);

    expect(new Set(idsOf(items)).size).toBe(counts[list]);
    expect(idsOf(items)).toEqual(idsOf(whole.body.items));
  });

  it.each(ORDERS)('goes through ties in the order of their ids, %s', async (order) => {
    const items = await walk(server, `/api/projects?sort_by=status&sort_order=${order}`);

    const ids = idsOf(items).toSorted();
    expect(idsOf(items)).toEqual(order === 'asc' ? ids : ids.toReversed());
  });

  it('puts what has no value first when ascending, last when descending', async () => {
    const ascending = await walk(server, '/api/tasks?sort_by=due_date&sort_order=asc');
    const descending = await walk(server, '/api/tasks?sort_by=due_date&sort_order=desc');

    const withValue = ascending.filter(({ due_date }) => due_date !== null).length;
    expect(withValue).toBeGreaterThan(100);
    expect(ascending.slice(-withValue).every(({ due_date }) => due_date !== null)).toBe(true);
    expect(descending.slice(0, withValue).every(({ due_date }) => due_date !== null)).toBe(true);
  });

  it('sorts priorities by their weight', async () => {
    const items = await walk(server, '/api/tasks?sort_by=priority&sort_order=desc');

    expect([...new Set(items.map(({ priority }) => priority))]).toEqual(['critical', 'high', 'medium', 'low']);
  });

  it.each(ORDERS)('neither repeats nor loses what was there while rows are inserted, %s', async (order) => {
    const before = idsOf((await server.get('/api/projects?limit=1000')).body.items);

    const items = await walk(server, `/api/projects?sort_by=name&sort_order=${order}`, () =>
      Promise.all(['A first', 'Tie 4', 'Z last'].map((name) => makeProject(server, { name }))),
    );

    const met = idsOf(items);
    expect(new Set(met).size).toBe(met.length);
    expect(before.filter((id) => !met.includes(id))).toEqual([]);
  });
});

describe('a total', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
    const { id } = await makeProject(server);
    await multiply(server, 'projects', id, 9_999, "'completed' AS status, now() AS created_at");
  });
  afterAll(() => server.close());

  it('is exact up to 10,000, and estimated beyond', async () => {
    // What is written past the server has no event, by which kept answers would be known as old.
    const fresh = { 'cache-control': 'no-cache' };
    const upTo = await server.get('/api/v1/projects?limit=1');
    await multiply(server, 'projects', (upTo.body as Item[])[0]!.id, 50, "'cancelled' AS status, now() AS created_at");
    await server.database.query('ANALYZE projects');
    const beyond = await server.get('/api/v1/projects?limit=1', fresh);
    const envelope = await server.get('/api/projects?limit=1', fresh);

    expect(upTo.headers).toMatchObject({ 'x-total-count': '10000', 'x-total-pages': '10000' });
    expect(upTo.headers).not.toHaveProperty('x-total-count-estimated');
    expect(beyond.headers).toMatchObject({ 'x-total-count-estimated': 'true' });
    expect(Number(beyond.headers['x-total-count'])).toBeGreaterThan(10_000);
    expect(Number(beyond.headers['x-total-count'])).toBeLessThan(10_500);
    expect(envelope.body).toMatchObject({ total_is_estimate: true, total: Number(beyond.headers['x-total-count']) });
  });

  it('is exact when asked for, and for few matches among many rows', async () => {
    const exact = await server.get('/api/v1/projects?limit=1&count=exact');
    const few = await server.get('/api/projects?status=cancelled');

    expect(exact.headers).toMatchObject({ 'x-total-count': '10050' });
    expect(exact.headers).not.toHaveProperty('x-total-count-estimated');
    expect(few.body).toMatchObject({ total: 50 });
    expect(few.body).not.toHaveProperty('total_is_estimate');
  });
});
