import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { newId } from '../src/platform/database/new-id.js';
import { UnitOfWork } from '../src/platform/database/unit-of-work.js';
import { EventLog } from '../src/platform/events/event-log.js';
import { eventRows, INSERT_EVENTS, recorded } from '../src/platform/events/event-rows.js';
import type { LoggedEvent } from '../src/platform/events/logged-event.js';
import { isAfter, type Position } from '../src/platform/events/position.js';
import { eventually } from './support/eventually.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const WRITERS = 20;
const UNITS_EACH = 10;

describe('the event log', () => {
  let server: TestApp;
  let log: EventLog;
  let project_id: string;

  beforeAll(async () => {
    server = await startTestApp();
    log = server.app.get(EventLog);
  });
  beforeEach(() => {
    project_id = newId();
  });
  afterAll(() => server.close());

  const note = (text: string) => ({ type: 'note_noted', project_id, text });
  const record = (...texts: string[]) =>
    server.app.get(UnitOfWork).run(async (tx) => {
      for (const text of texts) tx.record(note(text));
    });
  const textsOf = (events: LoggedEvent[]) =>
    events.filter((event) => event.project_id === project_id).map(({ data }) => data.text as string);
  const pool = () => server.database.pool;

  describe('is append-only', () => {
    it.each(['UPDATE events SET type = type', 'DELETE FROM events', 'TRUNCATE events'])(
      'and refuses %s',
      async (change) => {
        await record('kept');

        await expect(pool().query(change)).rejects.toThrow('The event log is append-only');
        expect(await server.events({ project_id })).toHaveLength(1);
      },
    );

    it.each([
      ['off', 'DELETE FROM events'],
      ['true', 'DELETE FROM events'],
      ['on', 'UPDATE events SET type = type'],
      ['on', 'TRUNCATE events'],
    ])('and with the setting of retention at %s refuses %s', async (setting, change) => {
      await record('kept');
      const client = await pool().connect();
      await client.query('BEGIN');
      await client.query(`SET LOCAL flightdeck.retention = '${setting}'`);

      await expect(client.query(change)).rejects.toThrow('The event log is append-only');
      await client.query('ROLLBACK');
      client.release();
      expect(await server.events({ project_id })).toHaveLength(1);
    });

    it('except for retention, which moves the floor and forbids again', async () => {
      await record('first');
      await record('second');
      const [first] = await server.events({ project_id });

      await log.forget(first!);

      expect(textsOf(await server.events({ project_id }))).toEqual(['second']);
      expect(await log.floor()).toEqual({ txid: first!.txid, seq: first!.seq });
      await expect(pool().query('DELETE FROM events')).rejects.toThrow('The event log is append-only');
    });

    it('and its floor never moves back', async () => {
      await record('first');
      await record('second');
      const [first, second] = await server.events({ project_id });

      await log.forget(second!);
      await log.forget(first!);

      expect(await log.floor()).toEqual({ txid: second!.txid, seq: second!.seq });
    });
  });

  describe('read in order', () => {
    /** On a shared server, what others do may hold it back for a moment. */
    const readTexts = (from: Position, count: number) =>
      eventually(async () => {
        const { events } = await log.readAfter(from, 100);
        expect(events).toHaveLength(count);
        return textsOf(events);
      });

    /** Follows the log as a tail does, until the work is done and all of it has been read. */
    async function follow(from: Position, limit: number, work: Promise<unknown>): Promise<LoggedEvent[]> {
      let isDone = false;
      const finished = work.finally(() => {
        isDone = true;
      });
      const read: LoggedEvent[] = [];
      for (let at = from; ;) {
        const wasDone = isDone;
        const { events, is_held_back } = await log.readAfter(at, limit);
        read.push(...events);
        at = events.at(-1) ?? at;
        if (wasDone && events.length === 0 && !is_held_back) break;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await finished;
      return read;
    }

    it('gives each committed event exactly once, though many write, slowly, and some roll back', async () => {
      const write = async (writer: number): Promise<void> => {
        for (let unit = 0; unit < UNITS_EACH; unit++) {
          const work = server.app.get(UnitOfWork).run(async (tx) => {
            // Takes the transaction's number now, so that others that began later may commit first.
            await tx.manager.query('SELECT pg_current_xact_id()');
            tx.record(note(`${writer}.${unit} first`));
            if ((writer + unit) % 4 === 0) await tx.manager.query('SELECT pg_sleep(0.01)');
            tx.record(note(`${writer}.${unit} second`));
            if ((writer + unit) % 5 === 0) throw new Error('It rolls back');
          });
          await work.catch(() => undefined);
        }
      };
      const from = await log.end();

      const read = await follow(from, 7, Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer))));

      const kept = WRITERS * UNITS_EACH * 2 * (4 / 5);
      expect(textsOf(read)).toHaveLength(kept);
      expect(textsOf(read)).toEqual(textsOf(await server.events({ project_id })));
      expect(textsOf((await log.readAfter(from, 10_000)).events)).toEqual(textsOf(read));
      for (const [index, event] of read.slice(1).entries()) expect(isAfter(event, read[index]!)).toBe(true);
    });

    it('keeps the events of one unit together, in their order', async () => {
      const from = await log.end();

      await Promise.all(['a', 'b', 'c'].map((unit) => record(`${unit}1`, `${unit}2`, `${unit}3`)));

      const texts = await readTexts(from, 9);
      expect([0, 3, 6].map((index) => texts.slice(index, index + 3).join()).sort()).toEqual([
        'a1,a2,a3',
        'b1,b2,b3',
        'c1,c2,c3',
      ]);
    });

    it.skipIf(!inject('template'))(
      'neither skips nor reorders an event with a lower number that commits late',
      async () => {
        const from = await log.end();
        const late = await pool().connect();
        await late.query('BEGIN');
        await late.query(INSERT_EVENTS, [eventRows([recorded(note('late'))])]);
        await record('early');

        const before = await log.readAfter(from, 100);
        await late.query('COMMIT');
        late.release();

        expect(before).toMatchObject({ events: [], is_held_back: true });
        expect(await readTexts(from, 2)).toEqual(['late', 'early']);
        const [first, second] = (await log.readAfter(from, 100)).events;
        expect(BigInt(first!.seq) < BigInt(second!.seq)).toBe(true);
      },
    );

    it.skipIf(!inject('template'))('follows the transactions where their numbers cross', async () => {
      const from = await log.end();
      const first = await pool().connect();
      await first.query('BEGIN');
      await first.query('SELECT pg_current_xact_id()');
      await record('lower number, later transaction');
      await first.query(INSERT_EVENTS, [eventRows([recorded(note('higher number, earlier transaction'))])]);

      const before = await log.readAfter(from, 100);
      await first.query('COMMIT');
      first.release();

      expect(before.events).toEqual([]);
      expect(await readTexts(from, 2)).toEqual([
        'higher number, earlier transaction',
        'lower number, later transaction',
      ]);
    });

    it.skipIf(!inject('template'))('goes on when what held it back is rolled back', async () => {
      const from = await log.end();
      const doomed = await pool().connect();
      await doomed.query('BEGIN');
      await doomed.query(INSERT_EVENTS, [eventRows([recorded(note('never'))])]);
      await record('kept');

      await doomed.query('ROLLBACK');
      doomed.release();

      expect(await readTexts(from, 1)).toEqual(['kept']);
    });
  });
});
