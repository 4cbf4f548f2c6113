import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { eventually, HANGING_MS, within } from './support/eventually.js';
import { makeProject } from './support/makers.js';
import { Nodes } from './support/nodes.js';
import { RedisLine } from './support/redis-line.js';
import type { Answer, TestApp } from './support/test-app.js';

const REDIS_URL = process.env.TEST_REDIS_URL;

const resultOf = ({ headers }: Answer<unknown>) => headers['x-cache'];
const names = ({ body }: Answer<{ name: string }[]>): string[] => body.map(({ name }) => name);
const list = (node: TestApp, query = '') => node.get<{ name: string }[]>(`/api/v1/projects?limit=1000${query}`);
/** Asks until the answer is kept. */
const keep = (node: TestApp, query = '') =>
  eventually(async () => expect(resultOf(await list(node, query))).toBe('HIT'));

describe.skipIf(!inject('template'))('the caches of two nodes on one database', () => {
  let nodes: Nodes;
  let one: TestApp;
  let two: TestApp;

  beforeAll(async () => {
    nodes = await Nodes.prepare({ REDIS_URL: '' });
    one = await nodes.start();
    two = await nodes.start();
  });
  afterAll(() => nodes.close());

  it('show at once what their own node has written, and what the other has as soon as they have looked', async () => {
    for (let time = 0; time < 20; time++) {
      const [writer, reader] = time % 2 === 0 ? [one, two] : [two, one];
      await keep(reader);
      const { name } = await makeProject(writer);

      expect(names(await list(writer))).toContain(name);
      await eventually(async () => expect(names(await list(reader))).toContain(name));
      // What was seen once does not go away again.
      for (const node of [one, two]) expect(names(await list(node))).toContain(name);
    }
  });

  it('keep nothing while the order of what has happened is open, and show what has', async () => {
    const older = new pg.Client({ connectionString: nodes.url });
    await older.connect();
    try {
      await keep(two);
      await older.query('BEGIN');
      await older.query('SELECT pg_current_xact_id()');
      const { name } = await makeProject(one);

      await eventually(async () => expect(names(await list(two))).toContain(name));
      for (const node of [one, two]) {
        const answer = await list(node);
        expect(resultOf(answer)).toBe('BYPASS');
        expect(names(answer)).toContain(name);
      }
      await older.query('COMMIT');
      await Promise.all([keep(one), keep(two)]);
    } finally {
      await older.end();
    }
  });
});

describe.skipIf(!inject('template') || !REDIS_URL)('the caches of two nodes that share a Redis', () => {
  let nodes: Nodes;
  let line: RedisLine;
  let redis: Redis;
  let one: TestApp;
  let two: TestApp;
  let asked = 0;

  beforeAll(async () => {
    nodes = await Nodes.prepare();
    line = await RedisLine.to(REDIS_URL!);
    redis = new Redis(REDIS_URL!);
    one = await nodes.start([], { REDIS_URL: REDIS_URL! });
    // Without workers, which BullMQ cannot stop when the answer to a question of theirs was lost.
    two = await nodes.start([], { REDIS_URL: line.url, ROLE: 'api' });
    await makeProject(one);
  });
  afterEach(() => line.speakAgain());
  afterAll(async () => {
    await nodes.close();
    await line.close();
    redis.disconnect();
  });

  /** Something that nobody has asked for yet. */
  const another = () => `&search=${++asked}`;
  const places = () => redis.keys(`*${nodes.database}*:cache:*`);
  const expectShared = () =>
    eventually(async () => {
      const query = another();
      expect(resultOf(await list(one, query))).toBe('MISS');
      await eventually(async () => expect(resultOf(await list(two, query))).toBe('HIT'), 200);
    });

  it('have what the other node has read, byte for byte', async () => {
    await expectShared();
    const { name } = await makeProject(one);
    const [at_one, at_two] = await eventually(async () => {
      const both = [await list(one, '&count=none'), await list(two, '&count=none')] as const;
      expect(names(both[1])).toContain(name);
      expect(both.map(resultOf)).toEqual(['HIT', 'HIT']);
      return both;
    });

    expect(at_two.body).toEqual(at_one.body);
    for (const header of ['etag', 'content-type', 'content-length', 'x-page-size']) {
      expect([header, at_two.headers[header]]).toEqual([header, at_one.headers[header]]);
    }
    expect(await places()).not.toHaveLength(0);
  });

  it('never show from it what was before a change', async () => {
    for (let time = 0; time < 20; time++) {
      const [writer, reader] = time % 2 === 0 ? [one, two] : [two, one];
      await list(reader);
      const { name } = await makeProject(writer);

      expect(names(await list(writer))).toContain(name);
      await eventually(async () => expect(names(await list(reader))).toContain(name));
    }
  });

  it('read for themselves when it has forgotten everything', async () => {
    await keep(one);
    // Only ours: other tests use the same Redis.
    await redis.del(await places());

    expect((await list(two, another())).status).toBe(200);
    const { name } = await makeProject(two);
    expect(names(await list(two))).toContain(name);
    await expectShared();
  });

  it('go on by themselves while it says nothing, and share again when it does', async () => {
    await expectShared();
    line.fallSilent();

    for (let time = 0; time < 5; time++) {
      const { name } = await makeProject(two);
      expect(names(await within(HANGING_MS, list(two)))).toContain(name);
      // Transactions of others may keep the change from being told for a while.
      await eventually(async () => expect(resultOf(await within(HANGING_MS, list(two)))).toBe('HIT'));
    }
    line.speakAgain();
    await expectShared();
  });

  it('hold no more in it than they have places, however much is asked', async () => {
    for (let time = 0; time < 60; time++) await list(one, another());

    const keys = await places();
    expect(keys.length).toBeLessThanOrEqual(1_024);
    for (const key of keys) {
      const seconds = await redis.ttl(key);
      expect(seconds > 0 && seconds <= 300).toBe(true);
    }
  });
});
