import { Controller, type DynamicModule, Get, Param, Query, VERSION_NEUTRAL } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Public } from '../src/platform/access/access.decorator.js';
import { CacheUsage } from '../src/platform/caching/cache-usage.js';
import { Cached } from '../src/platform/caching/cached.decorator.js';
import { MemoryStore } from '../src/platform/caching/memory-store.js';
import { UnitOfWork } from '../src/platform/database/unit-of-work.js';
import type { DomainEvent } from '../src/platform/events/domain-event.js';
import { eventually } from './support/eventually.js';
import { bearer, firstKey } from './support/keys.js';
import {
  complete,
  fail,
  type Leased,
  lease,
  makeAgent,
  makeProject,
  makeTask,
  makeWorkflow,
} from './support/makers.js';
import { act, execute, startRun } from './support/runs.js';
import { type Answer, startTestApp, type TestApp } from './support/test-app.js';

// oxlint-disable-next-line typescript/no-explicit-any
type Made = any;

const resultOf = ({ headers }: Answer<unknown>) => headers['x-cache'];

/** A route whose answers a test makes, and holds back. */
class Source {
  made = 0;
  text = 'as it was';
  /** What the next reading waits for, after it has read. */
  hold: Promise<void> = Promise.resolve();
  whenRead: () => void = () => undefined;
}

function sourceModule(source: Source): DynamicModule {
  @Controller({ path: 'sources', version: VERSION_NEUTRAL })
  class SourceController {
    @Get('failing')
    @Public()
    @Cached({ until: ['source_*'] })
    refuse(): never {
      source.made++;
      throw new Error('It cannot be read');
    }

    @Get(':name')
    @Public()
    @Cached({ until: ['source_*'] })
    async read(@Param('name') name: string, @Query('size') size = '0'): Promise<object> {
      source.made++;
      const { text } = source;
      source.whenRead();
      await source.hold;
      return { name, text, filling: 'x'.repeat(Number(size)) };
    }
  }
  return { module: class SourceModule {}, controllers: [SourceController] };
}

class SourceChanged implements DomainEvent {
  readonly type = 'source_changed';
}

class Unrelated implements DomainEvent {
  readonly type = 'elsewhere_changed';
}

const record = (server: TestApp, event: DomainEvent): Promise<void> =>
  server.app.get(UnitOfWork).run((tx) => Promise.resolve(tx.record(event)));

describe('a cached route', () => {
  const source = new Source();
  let server: TestApp;
  let tests = 0;
  /** Each test asks for something of its own. */
  let path: string;

  beforeAll(async () => {
    server = await startTestApp({ extra: [sourceModule(source)] });
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    path = `/api/sources/${++tests}`;
    Object.assign(source, new Source());
    // While the order of what an earlier test recorded is open, nothing is kept.
    await server.settle();
  });

  it('is asked once, until something of what it shows changes', async () => {
    const first = await server.get(path);
    const second = await server.get(path);
    await record(server, new Unrelated());
    const third = await server.get(path);
    source.text = 'changed';
    await record(server, new SourceChanged());
    const fourth = await server.get(path);

    expect([first, second, third].map(resultOf)).toEqual(['MISS', 'HIT', 'HIT']);
    // Whether it is kept depends on what else runs on the database server.
    expect(resultOf(fourth)).not.toBe('HIT');
    expect([first, second, third, fourth].map(({ body }) => body.text)).toEqual([
      'as it was',
      'as it was',
      'as it was',
      'changed',
    ]);
    expect(source.made).toBe(2);
    expect(second.headers['content-type']).toBe(first.headers['content-type']);
  });

  it('keeps each answer by its path and its query, in whichever order that is', async () => {
    const ask = async (url: string) => resultOf(await server.get(url));

    expect(await ask(`${path}?size=1&other=2`)).toBe('MISS');
    expect(await ask(`${path}?other=2&size=1`)).toBe('HIT');
    expect(await ask(`${path}/?other=2&size=1`)).toBe('HIT');
    expect(await ask(`${path}?size=2&other=2`)).toBe('MISS');
    expect(await ask(`${path}?size=1`)).toBe('MISS');
    expect(await ask(`${path}-more?size=1&other=2`)).toBe('MISS');
    expect((await server.get(`${path}?size=2&other=2`)).body.filling).toBe('xx');
  });

  it('never keeps what was read before a change, although it came after it', async () => {
    let release!: () => void;
    source.hold = new Promise((resolve) => (release = resolve));
    const hasRead = new Promise<void>((resolve) => (source.whenRead = resolve));

    const overlapping = server.get(path);
    await hasRead;
    source.text = 'changed';
    await record(server, new SourceChanged());
    const after = server.get(path);
    release();

    expect((await overlapping).body.text).toBe('as it was');
    expect((await after).body.text).toBe('changed');
    expect((await server.get(path)).body.text).toBe('changed');
  });

  it('makes one answer for all who ask the same at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => server.get(path)));

    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(source.made).toBe(1);
    expect(answers.filter((answer) => resultOf(answer) === 'MISS')).toHaveLength(1);
  });

  it('keeps no refusal', async () => {
    for (let time = 0; time < 2; time++) {
      const { status, headers } = await server.get('/api/sources/failing');
      expect(status).toBe(500);
      expect(headers).not.toHaveProperty('etag');
    }
    expect(source.made).toBe(2);
  });

  it('is read from the source when the client wants it so', async () => {
    await server.get(path);
    source.text = 'changed behind our back';
    const fresh = await server.get(path, { 'cache-control': 'max-age=0, no-cache' });

    expect(resultOf(fresh)).toBe('BYPASS');
    expect(fresh.body.text).toBe('changed behind our back');
    expect((await server.get(path)).body.text).toBe('as it was');
  });

  it('says 304 to who has the answer, whether it was kept or made anew', async () => {
    const { headers } = await server.get(path);
    const etag = String(headers.etag);
    expect(etag).toMatch(/^W\/"[\w-]{22}"$/);
    expect(headers['cache-control']).toBe('private, no-cache');

    for (const sent of [etag, etag.slice(2), `"other", ${etag}`, '*']) {
      const answer = await server.get<string>(path, { 'if-none-match': sent });
      expect({ sent, status: answer.status, body: answer.body }).toEqual({ sent, status: 304, body: '' });
      expect(answer.headers).toMatchObject({ etag, 'cache-control': 'private, no-cache', 'x-cache': 'HIT' });
      expect(answer.headers.vary).toContain('Authorization');
      expect(answer.headers).not.toHaveProperty('content-type');
    }
    await record(server, new SourceChanged());
    const anew = await server.get(path, { 'if-none-match': etag });
    expect(anew.status).toBe(304);
    expect(resultOf(anew)).not.toBe('HIT');

    source.text = 'changed';
    await record(server, new SourceChanged());
    const changed = await server.get(path, { 'if-none-match': etag });
    expect(changed.status).toBe(200);
    expect(changed.headers.etag).not.toBe(etag);
    expect((await server.get(path, { 'if-none-match': '"other"' })).status).toBe(200);
  });

  it('answers HEAD with the same headers, from the same entry', async () => {
    const { headers } = await server.get(path);
    const head = await server.app.inject({ method: 'HEAD', url: path });

    expect(head.body).toBe('');
    expect(head.headers).toMatchObject({
      etag: headers.etag,
      'content-length': headers['content-length'],
      'x-cache': 'HIT',
    });
    const etag = String(headers.etag);
    const known = await server.app.inject({ method: 'HEAD', url: path, headers: { 'if-none-match': etag } });
    expect(known.statusCode).toBe(304);
  });

  it('tells pages of other origins what it found, and caches by what the answer depends on', async () => {
    const { headers } = await server.get(path, { origin: 'http://localhost:3000' });

    const exposed = String(headers['access-control-expose-headers']).split(', ');
    expect(exposed).toEqual(expect.arrayContaining(['ETag', 'X-Cache']));
    expect(String(headers.vary).split(', ')).toEqual(expect.arrayContaining(['Origin', 'Authorization', 'X-API-Key']));
  });

  it('counts what it found', async () => {
    const totals = () => ({
      HIT: 0,
      MISS: 0,
      BYPASS: 0,
      ...server.app.get(CacheUsage).totals.get('/api/sources/:name'),
    });
    const before = totals();
    for (let time = 0; time < 3; time++) await server.get(path);
    await server.get(path, { 'cache-control': 'no-store' });

    const { HIT, MISS, BYPASS } = totals();
    expect([HIT - before.HIT, MISS - before.MISS, BYPASS - before.BYPASS]).toEqual([2, 1, 1]);
    const { body } = await server.get<string>('/metrics');
    for (const [result, total] of Object.entries({ hit: HIT, miss: MISS, bypass: BYPASS })) {
      expect(body).toContain(`flightdeck_cache_requests_total{route="/api/sources/:name",result="${result}"} ${total}`);
    }
    expect(body).toMatch(/^flightdeck_cache_entries [1-9]/m);
    expect(body).toMatch(/^flightdeck_cache_bytes [1-9]/m);
  });

  it('rests where nothing is ever asked again, and is there when it is', async () => {
    const results = new Set<unknown>();
    let asked = 0;
    await eventually(async () => {
      for (let time = 0; time < 50; time++) results.add(resultOf(await server.get(`${path}?${++asked}`)));
      expect(results).toContain('BYPASS');
    });
    await eventually(async () => expect(resultOf(await server.get(path))).toBe('HIT'));
  });
});

describe('what the cache holds', () => {
  it('is bounded by number, and what was asked for last stays', async () => {
    const source = new Source();
    const server = await startTestApp({
      environment: { CACHE_MAX_ENTRIES: 3, REDIS_URL: '' },
      extra: [sourceModule(source)],
    });
    try {
      const ask = async (name: string) => resultOf(await server.get(`/api/sources/${name}`));
      for (const name of ['a', 'b', 'c']) await ask(name);
      expect(await ask('a')).toBe('HIT');
      await ask('d');

      expect(server.app.get(MemoryStore).size).toBe(3);
      expect(await ask('a')).toBe('HIT');
      expect(await ask('b')).toBe('MISS');
    } finally {
      await server.close();
    }
  });

  it('is bounded by bytes, and what is larger than all of them is not kept', async () => {
    const CACHE_MAX_BYTES = 65_536;
    const server = await startTestApp({
      environment: { CACHE_MAX_BYTES, REDIS_URL: '' },
      extra: [sourceModule(new Source())],
    });
    try {
      const memory = server.app.get(MemoryStore);
      for (let name = 0; name < 20; name++) {
        await server.get(`/api/sources/${name}?size=10000`);
        expect(memory.bytes).toBeLessThanOrEqual(CACHE_MAX_BYTES);
      }
      expect(memory.size).toBeGreaterThan(1);
      const answers = [];
      for (let time = 0; time < 2; time++) answers.push(await server.get('/api/sources/large?size=100000'));
      expect(answers.map(resultOf)).toEqual(['MISS', 'MISS']);
      expect(answers[1]!.body.filling).toHaveLength(100_000);
    } finally {
      await server.close();
    }
  });

  it('is forgotten when its time is over', async () => {
    const source = new Source();
    const server = await startTestApp({ environment: { CACHE_TTL_DEFAULT: 1 }, extra: [sourceModule(source)] });
    try {
      await server.get('/api/sources/one');
      source.text = 'changed without an event';
      await eventually(async () => {
        expect((await server.get('/api/sources/one')).body.text).toBe('changed without an event');
      });
    } finally {
      await server.close();
    }
  });

  it('is nothing where caching is off; who has the answer hears so all the same', async () => {
    const source = new Source();
    const server = await startTestApp({ environment: { ENABLE_CACHING: false }, extra: [sourceModule(source)] });
    try {
      const first = await server.get('/api/sources/one');
      const second = await server.get('/api/sources/one');
      const third = await server.get('/api/sources/one', { 'if-none-match': String(first.headers.etag) });

      expect([first, second, third].map(resultOf)).toEqual(['BYPASS', 'BYPASS', 'BYPASS']);
      expect([source.made, server.app.get(MemoryStore).size, third.status]).toEqual([3, 0, 304]);
    } finally {
      await server.close();
    }
  });
});

describe('who asks', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp({ environment: { AUTH_MODE: 'required' } });
  });
  afterAll(() => server.close());

  const ask = (key: string) => server.get('/api/v1/projects', bearer(key));

  it('gets what others of the same role and project got, and nobody else does', async () => {
    const admin = await firstKey(server);
    const make = async (name: string): Promise<string> =>
      (await server.post('/api/v1/projects', { name }, bearer(admin))).body.id;
    const [one, other] = [await make('One'), await make('Other')];
    const keys = {
      viewer: await firstKey(server, { role: 'viewer' }),
      'another viewer': await firstKey(server, { role: 'viewer' }),
      operator: await firstKey(server, { role: 'operator' }),
      'viewer of one project': await firstKey(server, { role: 'viewer', project_id: one }),
      'viewer of another project': await firstKey(server, { role: 'viewer', project_id: other }),
      'operator of one project': await firstKey(server, { role: 'operator', project_id: one }),
    };

    // Until the order of what was just made is known, nothing is kept.
    await eventually(async () => expect(resultOf(await ask(admin))).toBe('HIT'));
    const found: Record<string, unknown> = {};
    for (const [name, key] of Object.entries(keys)) found[name] = resultOf(await ask(key));
    expect(found).toEqual({
      viewer: 'MISS',
      'another viewer': 'HIT',
      operator: 'MISS',
      'viewer of one project': 'MISS',
      'viewer of another project': 'MISS',
      'operator of one project': 'MISS',
    });
  });

  it('is asked who it is each time', async () => {
    const key = await firstKey(server, { role: 'viewer' });
    const agent = await firstKey(server, { role: 'agent' });
    await ask(key);

    expect((await server.get('/api/v1/projects')).status).toBe(401);
    expect((await ask(`${key}x`)).status).toBe(401);
    expect((await ask(agent)).status).toBe(403);
    expect((await server.get('/api/v1/auth/me', bearer(key))).headers).not.toHaveProperty('x-cache');
  });
});

describe('what the routes show after each change', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp({ environment: { AGENT_OFFLINE_AFTER_SECONDS: 1 } });
  });
  afterAll(() => server.close());

  const LISTS = ['/api/v1/projects', '/api/v1/tasks', '/api/v1/workflows'];
  const SUMMARIES = ['tasks', 'workflows', 'agents'].map((name) => `/api/v1/${name}/stats/summary`);
  const ROUTES = [...LISTS.flatMap((url) => [`${url}?limit=1000`, url.replace('/v1', '')]), ...SUMMARIES];
  const withoutClock = (body: Record<string, unknown>): object => ({ ...body, avg_uptime: 0 });
  const shown = (body: Made): unknown => (Array.isArray(body) ? body : withoutClock(body));

  /** All routes are kept, then the change is made: each shows at once what the database holds. */
  async function expectFresh(change: () => Promise<unknown>): Promise<void> {
    for (const url of ROUTES) await server.get(url);
    const before = await Promise.all(ROUTES.map(async (url) => shown((await server.get(url)).body)));
    await change();
    const kept = await Promise.all(ROUTES.map(async (url) => shown((await server.get(url)).body)));
    const read = await Promise.all(
      ROUTES.map(async (url) => shown((await server.get(url, { 'cache-control': 'no-cache' })).body)),
    );
    for (const [index, url] of ROUTES.entries())
      expect({ url, shown: kept[index] }).toEqual({ url, shown: read[index] });
    expect(kept).not.toEqual(before);
  }
  const ok = async (answer: Promise<Answer<unknown>>): Promise<void> => {
    const { status, body } = await answer;
    expect({ status, ok: status < 300, body }).toMatchObject({ ok: true });
  };

  it('of a project', async () => {
    let id = '';
    await expectFresh(async () => ({ id } = await makeProject(server)));
    await expectFresh(() => ok(server.put(`/api/v1/projects/${id}`, { description: 'Another' })));
    await makeTask(server, { project_id: id });
    await makeWorkflow(server, { project_id: id });
    await makeAgent(server, { project_id: id });
    await expectFresh(() => ok(server.delete(`/api/v1/projects/${id}`)));
  });

  it('of a task, by people', async () => {
    let id = '';
    await expectFresh(async () => ({ id } = await makeTask(server)));
    const agent = await makeAgent(server);
    const other = await makeTask(server, { title: 'First' });
    await expectFresh(() => ok(server.put(`/api/v1/tasks/${id}`, { title: 'Renamed' })));
    await expectFresh(() => ok(server.patch(`/api/v1/tasks/${id}/assign`, { assigned_agent_id: agent.id })));
    await expectFresh(() => ok(server.put(`/api/v1/agents/${agent.id}`, { name: 'Renamed' })));
    await expectFresh(() => ok(server.post(`/api/v1/tasks/${id}/dependencies`, { dependency_id: other.id })));
    await expectFresh(() => ok(server.delete(`/api/v1/tasks/${id}/dependencies/${other.id}`)));
    await expectFresh(() =>
      ok(server.patch('/api/v1/tasks/bulk', { task_ids: [id, other.id], updates: { tags: ['a'] } })),
    );
    await expectFresh(() => ok(server.patch(`/api/v1/tasks/${id}/progress`, { progress_percentage: 10 })));
    await expectFresh(() => ok(server.patch(`/api/v1/tasks/${id}/status`, { status: 'completed' })));
    await expectFresh(() => ok(server.post(`/api/v1/tasks/${other.id}/cancel`)));
    await expectFresh(() => ok(server.post(`/api/v1/tasks/${other.id}/retry`)));
    await expectFresh(() => ok(server.delete(`/api/v1/agents/${agent.id}`)));
    await expectFresh(() => ok(server.delete(`/api/v1/tasks/${id}`)));
  });

  it('of tasks, by an agent that takes and ends several at once', async () => {
    const agent = await makeAgent(server, { max_concurrent_tasks: 10 });
    for (let count = 0; count < 5; count++) await makeTask(server, { agent_type: agent.type });
    let held: Awaited<ReturnType<typeof lease>> = [];
    await expectFresh(async () => (held = await lease(server, agent, { max_tasks: 5 })));
    const [one, two, three, four, five] = held;
    const { task, lease: taken } = one!;
    const beat = { lease_token: taken.token, progress_percentage: 40 };
    await expectFresh(() => ok(server.post(`/api/v1/tasks/${task.id}/lease/heartbeat`, beat)));
    await expectFresh(() => Promise.all([one, two].map((each) => ok(complete(server, each!)))));
    await expectFresh(() => ok(fail(server, three!, { retryable: false })));
    await expectFresh(() => ok(fail(server, four!)));
    await expectFresh(() => {
      const { task: last, lease: token } = five!;
      return ok(server.post(`/api/v1/tasks/${last.id}/lease/release`, { lease_token: token.token }));
    });
  });

  it('a heartbeat that says nothing changes nothing', async () => {
    const agent = await makeAgent(server);
    await makeTask(server, { agent_type: agent.type });
    const [{ task, lease: taken } = {} as Leased] = await lease(server, agent);
    const before = (await server.get('/api/v1/tasks', { 'cache-control': 'no-cache' })).body;
    const answer = await server.post(`/api/v1/tasks/${task.id}/lease/heartbeat`, { lease_token: taken.token });

    expect(answer.status).toBe(200);
    expect((await server.get('/api/v1/tasks', { 'cache-control': 'no-cache' })).body).toEqual(before);
  });

  it('of a workflow and its runs', async () => {
    let workflow = { id: '' };
    await expectFresh(async () => (workflow = await makeWorkflow(server)));
    await expectFresh(() => ok(server.put(`/api/v1/workflows/${workflow.id}`, { tags: ['b'] })));
    const agent = await makeAgent(server, { name: 'Assigned' });
    await expectFresh(() => ok(server.post(`/api/v1/workflows/${workflow.id}/agents`, { agent_id: agent.id })));
    await expectFresh(() => ok(server.delete(`/api/v1/agents/${agent.id}`)));
    await expectFresh(() => ok(server.delete(`/api/v1/workflows/${workflow.id}`)));

    let started!: Awaited<ReturnType<typeof startRun>>;
    await expectFresh(async () => (started = await startRun(server, [{ key: 'a' }, { key: 'b', depends_on: ['a'] }])));
    await expectFresh(() => ok(act(server, started.run_id, 'pause')));
    await expectFresh(() => ok(act(server, started.run_id, 'resume')));
    for (let step = 0; step < 2; step++) {
      await expectFresh(async () => ok(complete(server, (await lease(server, started.agent))[0]!)));
    }
    await expectFresh(() => ok(execute(server, started.workflow_id)));
    await expectFresh(async () => {
      const { latest_run_id } = (await server.get(`/api/v1/workflows/${started.workflow_id}`)).body;
      await ok(act(server, latest_run_id, 'cancel'));
    });
  });

  /** What happens by itself is waited for in what the database holds; from then on nothing else may be shown. */
  async function expectShownWhen(url: string, isThere: (body: Made) => boolean, start: () => Promise<void>) {
    await start();
    await server.get(url);
    await eventually(async () => {
      const { body } = await server.get(url, { 'cache-control': 'no-cache' });
      expect(isThere(body)).toBe(true);
    });
    await eventually(async () => expect(isThere((await server.get(url)).body)).toBe(true), 1_000);
  }

  it('by sweeps and scheduled jobs', async () => {
    const { type, id } = await makeAgent(server);
    const task = await makeTask(server, { agent_type: type, max_attempts: 1 });
    const url = '/api/v1/tasks?limit=1000';
    await expectShownWhen(
      url,
      (tasks: { id: string; status: string }[]) =>
        tasks.some((one) => one.id === task.id && one.status !== 'in_progress'),
      async () => {
        await lease(server, { id });
        await server.database.query(`UPDATE tasks SET lease_expires_at = now() WHERE id = $1`, [task.id]);
      },
    );
    await expectShownWhen(
      SUMMARIES[2]!,
      ({ by_status }: { by_status: Record<string, number> }) => by_status.idle === 0 && by_status.busy === 0,
      () => Promise.resolve(),
    );
    const workflow = await makeWorkflow(server, {
      steps: [{ key: 'a', agent_type: 'nobody' }],
      schedule: { cron: '0 0 1 1 *' },
    });
    await expectShownWhen(
      '/api/v1/workflows?limit=1000',
      (all: { id: string; latest_run_id: string | null }[]) =>
        all.some((one) => one.id === workflow.id && one.latest_run_id !== null),
      async () => {
        await server.database.query(`UPDATE workflows SET next_tick_at = now() WHERE id = $1`, [workflow.id]);
      },
    );
  });

  it('also when a tick of a schedule is left out', async () => {
    const workflow = await makeWorkflow(server, {
      steps: [{ key: 'a', agent_type: 'nobody' }],
      schedule: { cron: '0 0 1 1 *' },
    });
    const due = new Date(Date.now() - 1_000);
    await ok(server.patch(`/api/v1/workflows/${workflow.id}/status`, { status: 'inactive' }));
    await expectShownWhen(
      '/api/v1/workflows?limit=1000',
      (all: { id: string; scheduled_at: string }[]) =>
        all.some((one) => one.id === workflow.id && new Date(one.scheduled_at) > new Date()),
      async () => {
        await server.database.query(`UPDATE workflows SET next_tick_at = $2 WHERE id = $1`, [workflow.id, due]);
      },
    );
  });
});
