import { getQueueToken } from '@nestjs/bullmq';
import { Injectable, Module } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { Database } from '../src/platform/database/database.js';
import { DatabasePool } from '../src/platform/database/database-pool.js';
import { newId } from '../src/platform/database/new-id.js';
import { type Transaction, UnitOfWork } from '../src/platform/database/unit-of-work.js';
import { violatedConstraint } from '../src/platform/database/database-error.js';
import { CommitSignal } from '../src/platform/events/commit-signal.js';
import type { DomainEvent } from '../src/platform/events/domain-event.js';
import { Within } from '../src/platform/events/handlers.js';
import { QueueName } from '../src/platform/queues/queue-name.js';
import { startTestApp, type TestApp } from './support/test-app.js';

class Noted implements DomainEvent {
  static readonly type = 'note_noted';
  readonly type = Noted.type;

  constructor(
    readonly project_id: string,
    readonly note: string,
  ) {}
}

class Echoed implements DomainEvent {
  static readonly type = 'note_echoed';
  readonly type = Echoed.type;

  constructor(
    readonly project_id: string,
    readonly note: string,
  ) {}
}

@Injectable()
class Echo {
  @Within([Noted])
  async echo({ project_id, note }: Noted, tx: Transaction): Promise<void> {
    if (note === 'refused') throw new Error('The echo refuses');
    await tx.manager.query('INSERT INTO notes VALUES ($1)', [`echo of ${note}`]);
    tx.record(new Echoed(project_id, note));
  }

  @Within([Echoed])
  async answer({ note }: Echoed, tx: Transaction): Promise<void> {
    await tx.manager.query('INSERT INTO notes VALUES ($1)', [`answer to ${note}`]);
  }
}

@Module({ providers: [Echo] })
class EchoModule {}

describe('a unit of work', () => {
  let server: TestApp;
  let unitOfWork: UnitOfWork;
  let project_id: string;

  beforeAll(async () => {
    server = await startTestApp({ extra: [EchoModule] });
    unitOfWork = server.app.get(UnitOfWork);
    await server.database.query('CREATE TABLE notes (note text CONSTRAINT uq_notes__note UNIQUE)');
  });
  beforeEach(async () => {
    project_id = newId();
    await server.database.query('TRUNCATE notes');
  });
  afterAll(() => server.close());

  const insert = ({ manager }: Transaction, note: string) => manager.query('INSERT INTO notes VALUES ($1)', [note]);
  const noted = async () =>
    (await server.database.query('SELECT note FROM notes ORDER BY note')).map(({ note }) => note as string);
  const logged = async () => (await server.events({ project_id })).map(({ type }) => type);

  it('commits the change, its event and what the handlers within did', async () => {
    const result = await unitOfWork.run(async (tx) => {
      await insert(tx, 'one');
      tx.record(new Noted(project_id, 'one'));
      return 'done';
    });

    expect(result).toBe('done');
    expect(await noted()).toEqual(['answer to one', 'echo of one', 'one']);
    expect(await server.events({ project_id })).toMatchObject([
      { type: 'note_noted', data: { project_id, note: 'one' }, source: 'system', severity: 'info' },
      { type: 'note_echoed' },
    ]);
  });

  it('leaves nothing when the work fails after it', async () => {
    const failing = unitOfWork.run(async (tx) => {
      await insert(tx, 'one');
      await tx.announce(new Noted(project_id, 'one'));
      throw new Error('No');
    });

    await expect(failing).rejects.toThrow('No');
    expect([await noted(), await logged()]).toEqual([[], []]);
  });

  it('leaves nothing when a handler within fails', async () => {
    const failing = unitOfWork.run(async (tx) => {
      await insert(tx, 'one');
      tx.record(new Noted(project_id, 'first'));
      tx.record(new Noted(project_id, 'refused'));
    });

    await expect(failing).rejects.toThrow('The echo refuses');
    expect([await noted(), await logged()]).toEqual([[], []]);
  });

  it('leaves nothing when its events cannot be written', async () => {
    const failing = unitOfWork.run(async (tx) => {
      await insert(tx, 'one');
      tx.record({ type: 'note_noted', severity: 'fatal' as never });
    });

    await expect(failing).rejects.toMatchObject({ code: '23514' });
    expect(await noted()).toEqual([]);
  });

  it('runs the handlers of an announced event at once, and only once', async () => {
    await unitOfWork.run(async (tx) => {
      await tx.announce(new Noted(project_id, 'one'));
      expect(await tx.manager.query('SELECT note FROM notes')).toEqual([{ note: 'echo of one' }]);
    });

    expect(await noted()).toEqual(['answer to one', 'echo of one']);
    expect(await logged()).toEqual(['note_noted', 'note_echoed']);
  });

  it('is joined by one inside it', async () => {
    const failing = unitOfWork.run(async (outer) => {
      await unitOfWork.run(async (inner) => {
        expect(inner).toBe(outer);
        await insert(inner, 'inner');
        inner.record(new Echoed(project_id, 'inner'));
      });
      throw new Error('Not after all');
    });

    await expect(failing).rejects.toThrow('Not after all');
    expect([await noted(), await logged()]).toEqual([[], []]);
  });

  it('is read by services without a tx', async () => {
    await unitOfWork.run(async (tx) => {
      await insert(tx, 'mine');

      expect(await server.app.get(Database).query('SELECT note FROM notes')).toEqual([{ note: 'mine' }]);
      expect(await server.app.get(Database).manager.query('SELECT note FROM notes')).toEqual([{ note: 'mine' }]);
    });
  });

  it('names the constraint that refused', async () => {
    const failing = unitOfWork.run(async (tx) => {
      await insert(tx, 'one');
      await insert(tx, 'one');
    });

    expect(violatedConstraint(await failing.catch((error: unknown) => error))).toBe('uq_notes__note');
  });

  it('does not pretend to have committed when an error was swallowed', async () => {
    const swallowing = unitOfWork.run(async (tx) => {
      await insert(tx, 'one');
      await insert(tx, 'one').catch(() => undefined);
    });

    await expect(swallowing).rejects.toThrow('swallowed');
    expect(await noted()).toEqual([]);
  });

  describe('does what nobody waits for with its next statement', () => {
    const ADD = { name: 'add_note', text: 'INSERT INTO notes VALUES ($1)' };
    const TRY_AGAIN = { name: 'again', text: 'SELECT again_once($1)' };

    it('in their order', async () => {
      await unitOfWork.run(async (tx) => {
        tx.send(ADD, ['one']);
        expect(await tx.manager.query('SELECT note FROM notes')).toEqual([{ note: 'one' }]);
        tx.send(ADD, ['two']);
        tx.record(new Echoed(project_id, 'three'));
      });

      expect(await noted()).toEqual(['answer to three', 'one', 'two']);
      expect(await logged()).toEqual(['note_echoed']);
    });

    it('and fails by it', async () => {
      const failing = unitOfWork.run(async (tx) => {
        await insert(tx, 'one');
        tx.send(ADD, ['one']);
        tx.record(new Noted(project_id, 'two'));
      });

      expect(violatedConstraint(await failing.catch((error: unknown) => error))).toBe('uq_notes__note');
      expect([await noted(), await logged()]).toEqual([[], []]);
    });

    it('and tells why, not what failed for the same reason', async () => {
      const sentFirst = unitOfWork.run(async (tx) => {
        tx.send(ADD, ['one']);
        tx.send(ADD, ['one']);
        await insert(tx, 'two');
      });
      const awaitedFirst = unitOfWork.run(async (tx) => {
        const refused = tx.manager.query(`DO $$ BEGIN RAISE EXCEPTION 'the reason'; END $$`);
        refused.catch(() => undefined);
        await new Promise(setImmediate);
        // The second is not prepared, as the first was not.
        for (const note of ['three', 'four']) tx.send({ ...ADD, name: 'add_another_note' }, [note]);
        await refused;
      });

      const outcomes = await Promise.allSettled([sentFirst, awaitedFirst]);

      expect(violatedConstraint((outcomes[0] as PromiseRejectedResult).reason)).toBe('uq_notes__note');
      expect(outcomes[1]).toMatchObject({ reason: { message: expect.stringContaining('the reason') } });
      expect(await noted()).toEqual([]);
    });

    it('and is tried again when that may help', async () => {
      await server.database.query(`
        CREATE SEQUENCE attempts;
        CREATE FUNCTION again_once(which int) RETURNS void LANGUAGE plpgsql AS $$
          BEGIN
            IF nextval('attempts') = which THEN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END IF;
          END $$`);

      await unitOfWork.run(async (tx) => {
        tx.send(TRY_AGAIN, [1]);
        await insert(tx, 'one');
      });

      expect(await noted()).toEqual(['one']);
    });

    it('or not at all, when the work fails', async () => {
      const failing = unitOfWork.run(async (tx) => {
        tx.send(ADD, ['one']);
        throw new Error('No');
      });

      await expect(failing).rejects.toThrow('No');
      expect(await noted()).toEqual([]);
    });
  });

  it('tells what waits in memory only after the commit, whatever that does', async () => {
    const told: string[] = [];
    server.app.get(CommitSignal).onCommit(() => told.push('signal'));

    await unitOfWork.run(async (tx) => {
      await insert(tx, 'one');
      server.app.get(CommitSignal).signal();
      tx.afterCommit(() => {
        throw new Error('It fails');
      });
      tx.afterCommit(() => told.push('action'));
      expect(told).toEqual([]);
    });
    const failing = unitOfWork.run(async (tx) => {
      tx.afterCommit(() => told.push('never'));
      throw new Error('No');
    });

    await expect(failing).rejects.toThrow('No');
    expect(told).toEqual(['signal', 'action']);
    expect(await noted()).toEqual(['one']);
  });

  describe('refuses a statement on another connection, and names it', () => {
    const elsewhere: [string, () => Promise<unknown>, string][] = [
      [
        'through the pool',
        () => server.app.get(DatabasePool).pool.query(`INSERT INTO notes VALUES ('x')`),
        `INSERT INTO notes`,
      ],
      [
        'through a connection of its own',
        async () => (await server.app.get(DatabasePool).pool.connect()).query('SELECT 7'),
        'SELECT 7',
      ],
      ['through the data source', () => server.app.get(DataSource).manager.query('SELECT 8'), 'SELECT 8'],
    ];
    it.each(elsewhere)('%s', async (_how, query, text) => {
      await expect(unitOfWork.run(query)).rejects.toThrow(`Inside a unit of work, but not through its tx: ${text}`);
      expect(await noted()).toEqual([]);
    });

    it('from a connection that was taken before', async () => {
      const client = await server.app.get(DatabasePool).pool.connect();

      await expect(unitOfWork.run(async () => client.query('SELECT 9'))).rejects.toThrow('SELECT 9');
      client.release();
    });

    it.skipIf(process.env.TEST_REDIS_URL)('through the queue', async () => {
      const queue = server.app.get<Queue>(getQueueToken(QueueName.Maintenance));

      await expect(unitOfWork.run(() => queue.add('anything', {}))).rejects.toThrow('but not through its tx');
    });

    it('also when all connections are taken', async () => {
      const work = () => unitOfWork.run(() => server.app.get(DatabasePool).pool.query('SELECT 10'));

      const outcomes = await Promise.allSettled(Array.from({ length: 40 }, work));

      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({
          status: 'rejected',
          reason: { message: expect.stringContaining('SELECT 10') },
        });
      }
      expect(await noted()).toEqual([]);
    });

    it('no longer, once it has ended', async () => {
      let later: Promise<unknown> | undefined;
      await unitOfWork.run(async () => {
        later = new Promise((resolve) => setTimeout(resolve, 50)).then(() =>
          server.app.get(DatabasePool).pool.query('SELECT 11 AS eleven'),
        );
      });

      expect(await later).toMatchObject({ rows: [{ eleven: 11 }] });
    });
  });

  describe('that two want at once', () => {
    it.skipIf(!inject('template'))('is tried again after a deadlock', async () => {
      await server.database.query(`INSERT INTO notes VALUES ('a'), ('b')`);
      let arrived = 0;
      let attempts = 0;
      const bothArrived = async () => {
        arrived++;
        while (arrived < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      };
      const lock = (tx: Transaction, note: string) =>
        tx.manager.query('SELECT FROM notes WHERE note = $1 FOR UPDATE', [note]);
      const work = (first: string, second: string) =>
        unitOfWork.run(async (tx) => {
          attempts++;
          await lock(tx, first);
          await bothArrived();
          await lock(tx, second);
          tx.record(new Echoed(project_id, `${first} before ${second}`));
        });

      await Promise.all([work('a', 'b'), work('b', 'a')]);

      expect(attempts).toBe(3);
      expect(await logged()).toEqual(['note_echoed', 'note_echoed']);
    });

    it('is tried again after a serialization failure, but not for ever', async () => {
      let attempts = 0;
      const refuse = (tx: Transaction) =>
        tx.manager.query(`DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$`);

      await unitOfWork.run(async (tx) => {
        await insert(tx, `attempt ${++attempts}`);
        if (attempts < 3) await refuse(tx);
      });
      const hopeless = unitOfWork.run(async (tx) => {
        attempts++;
        await refuse(tx);
      });

      await expect(hopeless).rejects.toThrow('again');
      expect(await noted()).toEqual(['attempt 3']);
      expect(attempts).toBe(7);
    });
  });
});
