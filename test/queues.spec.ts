import { getQueueToken } from '@nestjs/bullmq';
import { type DynamicModule, Injectable } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { randomInt } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { currentContext, type RequestContext } from '../src/platform/context/request-context.js';
import { QueueName } from '../src/platform/queues/queue-name.js';
import { Recurring } from '../src/platform/queues/recurring.decorator.js';
import { takeDatabaseAway } from './support/away-database.js';
import { eventually, sleep } from './support/eventually.js';
import { Gate } from './support/gate.js';
import { outputOf } from './support/output.js';
import { Nodes } from './support/nodes.js';
import type { TestApp } from './support/test-app.js';

const EVERY_MS = 100;
/** The rhythm of the clean-up, which every server has. */
const HOURLY = 3_600_000;
/** A database of the Redis that no other test uses. */
const REDIS_URL = process.env.TEST_REDIS_URL && `${process.env.TEST_REDIS_URL}/${randomInt(1, 16)}`;

/** What the runs of a job were, on one server. */
class Runs {
  readonly contexts: RequestContext[] = [];
  work: () => unknown = () => undefined;

  get ids(): (string | null)[] {
    return this.contexts.map(({ request_id }) => request_id);
  }
}

function recurringModule(name: string, runs: Runs, every_ms = EVERY_MS, is_due?: () => string): DynamicModule {
  @Injectable()
  class Worker {
    @Recurring({ name, every_ms: () => every_ms, is_due })
    async run(): Promise<void> {
      runs.contexts.push(currentContext());
      await runs.work();
    }
  }
  return { module: class RecurringModule {}, providers: [Worker] };
}

const BACKENDS = [
  { where: inject('template') ? 'PostgreSQL' : 'the embedded database', redis: '' },
  ...(REDIS_URL ? [{ where: 'Redis', redis: REDIS_URL }] : []),
];

describe.each(BACKENDS)('recurring jobs in $where', ({ redis }) => {
  let nodes: Nodes;

  beforeAll(async () => {
    nodes = await Nodes.prepare({ REDIS_URL: redis });
  });
  afterEach(() => nodes.stopAll());
  afterAll(() => nodes.close());

  /** The rhythms in which something runs. */
  const schedule = async (node: TestApp): Promise<number[]> => {
    const schedulers = await node.app.get<Queue>(getQueueToken(QueueName.Maintenance)).getJobSchedulers();
    return schedulers.map(({ every }) => Number(every));
  };

  it('run again and again, in the name of the scheduler', async () => {
    const runs = new Runs();
    await nodes.start([recurringModule('tick', runs)]);

    await eventually(() => expect(runs.contexts.length).toBeGreaterThanOrEqual(5));

    expect(runs.contexts[0]).toMatchObject({
      source: 'scheduler',
      endpoint: 'job tick',
      request_id: expect.any(String),
    });
    expect(new Set(runs.ids).size).toBe(runs.ids.length);
  });

  it('go on after a run that failed, and so do those of the same rhythm', async () => {
    const [stumbling, steady] = [new Runs(), new Runs()];
    stumbling.work = () => {
      if (stumbling.contexts.length < 3) throw new Error('It fails at first');
    };
    await nodes.start([recurringModule('stumble', stumbling), recurringModule('steady', steady)]);

    await eventually(() => expect(stumbling.contexts.length).toBeGreaterThanOrEqual(5));

    expect(steady.contexts.length).toBeGreaterThanOrEqual(4);
  });

  it('run on one of two servers at a time', async () => {
    const [one, two] = [new Runs(), new Runs()];
    const start = Date.now();
    await nodes.start([recurringModule('shared', one)]);
    await nodes.start([recurringModule('shared', two)]);

    await eventually(() => expect(one.ids.length + two.ids.length).toBeGreaterThanOrEqual(15));

    const ids = [...one.ids, ...two.ids];
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBeLessThanOrEqual((Date.now() - start) / EVERY_MS + 2);
  });

  it('are taken over by the other server when one stops', async () => {
    const [one, two] = [new Runs(), new Runs()];
    const first = await nodes.start([recurringModule('handed_over', one)]);
    await nodes.start([recurringModule('handed_over', two)]);
    await eventually(() => expect(one.ids.length + two.ids.length).toBeGreaterThanOrEqual(3));

    await nodes.stop(first);
    const before = two.ids.length;

    await eventually(() => expect(two.ids.length).toBeGreaterThanOrEqual(before + 3));
  });

  it('that the code no longer has leave the schedule; the others stay', async () => {
    const runs = new Runs();
    const before = await nodes.start([recurringModule('bygone', runs, 137)]);
    expect(await schedule(before)).toContain(137);
    await nodes.stop(before);

    const after = await nodes.start([]);
    const count = runs.contexts.length;
    await sleep(137 * 3);

    expect(await schedule(after)).not.toContain(137);
    expect(await schedule(after)).toContain(HOURLY);
    expect(runs.contexts).toHaveLength(count);
  });

  it('run as often as the code says now', async () => {
    const runs = new Runs();
    await nodes.stop(await nodes.start([recurringModule('paced', new Runs(), 3_700_000)]));

    const node = await nodes.start([recurringModule('paced', runs)]);

    await eventually(() => expect(runs.contexts.length).toBeGreaterThanOrEqual(3));
    expect(await schedule(node)).not.toContain(3_700_000);
  });

  it('do not run on a server that only serves the API', async () => {
    const [api, worker] = [new Runs(), new Runs()];
    await nodes.start([recurringModule('background', api)], { ROLE: 'api' });
    await nodes.start([recurringModule('background', worker)]);

    await eventually(() => expect(worker.contexts.length).toBeGreaterThanOrEqual(5));

    expect(api.contexts).toEqual([]);
  });

  it('come to their end when the server stops', async () => {
    const runs = new Runs();
    let ended = 0;
    runs.work = async () => {
      await sleep(200);
      ended++;
    };
    const node = await nodes.start([recurringModule('slow', runs)]);
    await eventually(() => expect(runs.contexts.length).toBeGreaterThan(0));

    await nodes.stop(node);

    expect(ended).toBe(runs.contexts.length);
  });

  it('run when they are due, on one of two servers, and not when they are not', async () => {
    const [one, two] = [new Runs(), new Runs()];
    const isDue = () => `EXISTS (SELECT FROM projects WHERE name = 'due')`;
    const first = await nodes.start([recurringModule('when_due', one, EVERY_MS, isDue)]);
    await nodes.start([recurringModule('when_due', two, EVERY_MS, isDue)]);
    await sleep(EVERY_MS * 4);
    expect([...one.ids, ...two.ids]).toEqual([]);

    const start = Date.now();
    const { body: project } = await first.post('/api/v1/projects', { name: 'due' });
    await eventually(() => expect(one.ids.length + two.ids.length).toBeGreaterThanOrEqual(10));
    expect(one.ids.length + two.ids.length).toBeLessThanOrEqual((Date.now() - start) / EVERY_MS + 2);
    await first.delete(`/api/v1/projects/${project.id}`);
    await sleep(EVERY_MS * 2);
    const count = one.ids.length + two.ids.length;
    await sleep(EVERY_MS * 4);

    expect(one.ids.length + two.ids.length).toBe(count);
  });

  it('look again after a look that failed', async () => {
    const runs = new Runs();
    const node = await nodes.start([
      recurringModule('unsure', runs, EVERY_MS, () => `(SELECT 1 / count(*) FROM projects WHERE name = 'sure') = 1`),
    ]);
    await sleep(EVERY_MS * 3);
    expect(runs.ids).toEqual([]);

    await node.post('/api/v1/projects', { name: 'sure' });

    await eventually(() => expect(runs.ids.length).toBeGreaterThan(1));
  });

  it('go on after an outage of the queue, of which the log tells once in ten seconds', async () => {
    const runs = new Runs();
    const gate = redis ? await Gate.to(redis) : null;
    const settings = { LOG_LEVEL: 'warning', LOG_FORMAT: 'json', REDIS_URL: gate?.url ?? '' };
    // Of its own: the queues of servers that have stopped still hear of their pool.
    const alone = await Nodes.prepare();
    const node = await alone.start([recurringModule('patient', runs)], settings);
    await eventually(() => expect(runs.contexts.length).toBeGreaterThan(0));

    let bringBack: () => unknown = () => gate!.open();
    const log = await outputOf(async () => {
      if (gate) gate.close();
      else bringBack = takeDatabaseAway(node);
      await sleep(3_000);
    });
    await bringBack();
    const before = runs.contexts.length;

    await eventually(() => expect(runs.contexts.length).toBeGreaterThan(before));
    expect(log.match(/The job queue cannot be reached/g)).toHaveLength(1);
    expect(log).not.toContain('[ioredis]');
    await alone.close();
    gate?.close();
  });

  it('do not start when two share a name', async () => {
    const starting = nodes.start([recurringModule('twice', new Runs()), recurringModule('twice', new Runs())]);

    await expect(starting).rejects.toThrow('Two methods do the recurring job twice');
  });
});
