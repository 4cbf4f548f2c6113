import { type DynamicModule, Injectable } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { newId } from '../src/platform/database/new-id.js';
import { UnitOfWork } from '../src/platform/database/unit-of-work.js';
import { EventTail } from '../src/platform/events/event-tail.js';
import { Durable, Live } from '../src/platform/events/handlers.js';
import type { LoggedEvent } from '../src/platform/events/logged-event.js';
import { isAfter } from '../src/platform/events/position.js';
import { eventually } from './support/eventually.js';
import { Nodes } from './support/nodes.js';
import type { TestApp } from './support/test-app.js';

type React = (text: string, event: LoggedEvent) => unknown;

/** What a handler is told, and what it then does. */
class Ear {
  readonly heard: string[] = [];
  react: React = () => undefined;

  hear(event: LoggedEvent): unknown {
    const text = event.data.text as string;
    this.heard.push(text);
    return this.react(text, event);
  }
}

function liveModule(ear: Ear): DynamicModule {
  @Injectable()
  class Listener {
    @Live('note_*')
    hear(event: LoggedEvent): unknown {
      return ear.hear(event);
    }
  }
  return { module: class LiveModule {}, providers: [Listener] };
}

function durableModule(name: string, ear: Ear): DynamicModule {
  @Injectable()
  class Consumer {
    @Durable({ name, types: ['note_*'] })
    async hear(event: LoggedEvent): Promise<void> {
      await ear.hear(event);
    }
  }
  return { module: class DurableModule {}, providers: [Consumer] };
}

describe('handlers of events', () => {
  let nodes: Nodes;
  let name: string;

  beforeAll(async () => {
    nodes = await Nodes.prepare();
  });
  beforeEach(() => {
    name = newId();
  });
  afterEach(() => nodes.stopAll());
  afterAll(() => nodes.close());

  const record = (node: TestApp, ...texts: string[]) =>
    node.app.get(UnitOfWork).run(async (tx) => {
      for (const text of texts) tx.record({ type: 'note_noted', text } as never);
    });
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => String(from + index));

  describe('that are live', () => {
    it('hear each event once, in order, from the start of the node on', async () => {
      const ear = new Ear();
      const first = await nodes.start();
      await record(first, 'before');
      await first.settle();
      const node = await nodes.start([liveModule(ear)]);

      for (const text of numbers(1, 50)) await record(node, text);
      await Promise.all(numbers(51, 100).map((text) => record(node, text)));

      await eventually(() => expect(ear.heard).toHaveLength(100));
      expect(ear.heard.slice(0, 50)).toEqual(numbers(1, 50));
      expect(new Set(ear.heard).size).toBe(100);
      const logged = await node.database.query(`SELECT data->>'text' AS text FROM events ORDER BY txid, seq`);
      expect(ear.heard).toEqual(logged.map(({ text }) => text as string).filter((text) => text !== 'before'));
    });

    it('go on after one of them failed, at once or later', async () => {
      const [throwing, rejecting, calm] = [new Ear(), new Ear(), new Ear()];
      throwing.react = () => {
        throw new Error('It fails at once');
      };
      rejecting.react = () => Promise.reject(new Error('It fails later'));
      const node = await nodes.start([liveModule(throwing), liveModule(rejecting), liveModule(calm)]);

      await record(node, 'a', 'b');

      await eventually(() =>
        expect([throwing, rejecting, calm].map(({ heard }) => heard)).toEqual(
          Array.from({ length: 3 }, () => ['a', 'b']),
        ),
      );
    });

    it('know nothing of what is rolled back', async () => {
      const ear = new Ear();
      const node = await nodes.start([liveModule(ear)]);
      const failing = node.app.get(UnitOfWork).run(async (tx) => {
        tx.record({ type: 'note_noted', text: 'never' } as never);
        throw new Error('It rolls back');
      });

      await expect(failing).rejects.toThrow('It rolls back');
      await record(node, 'after');

      await eventually(() => expect(ear.heard).toEqual(['after']));
    });

    it('have heard everything up to the position of the tail', async () => {
      const ear = new Ear();
      const node = await nodes.start([liveModule(ear)]);
      const tail = node.app.get(EventTail);
      const before = tail.position;

      let heardAt = before;
      ear.react = (_text, event) => {
        heardAt = event;
        expect(isAfter(event, tail.position)).toBe(true);
      };
      await record(node, 'a');
      await eventually(() => expect(isAfter(tail.position, before)).toBe(true));

      expect(ear.heard).toEqual(['a']);
      expect(isAfter(heardAt, tail.position)).toBe(false);
    });

    it('do not run in the request that woke them', async () => {
      const ear = new Ear();
      const node = await nodes.start([liveModule(ear)]);
      const seen: unknown[] = [];
      ear.react = async () => {
        const [row] = await node.database.query('SELECT pg_current_xact_id_if_assigned() AS txid');
        seen.push(row!.txid);
      };

      await node.app.get(UnitOfWork).run(async (tx) => {
        tx.record({ type: 'note_noted', text: 'a' } as never);
        node.app.get(EventTail).wake();
        await new Promise((resolve) => setTimeout(resolve, 20));
      });

      await eventually(() => expect(seen).toEqual([null]));
    });

    describe.skipIf(!inject('template'))('on several nodes', () => {
      it('hear at once what any node commits', async () => {
        const ears = [new Ear(), new Ear()];
        const [one, two] = [await nodes.start([liveModule(ears[0]!)]), await nodes.start([liveModule(ears[1]!)])];

        for (const text of numbers(1, 20)) await record(Number(text) % 2 === 0 ? one : two, text);

        await eventually(() => expect(ears.map(({ heard }) => heard)).toEqual([numbers(1, 20), numbers(1, 20)]), 2_000);
      });

      it('hear again after their connection was cut, and miss nothing', async () => {
        const ear = new Ear();
        const [writer] = [await nodes.start(), await nodes.start([liveModule(ear)])];
        const cut = () =>
          writer.database.query(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE query = 'LISTEN flightdeck_events' AND datname = current_database()`,
          );

        expect((await eventually(cut)).length).toBeGreaterThan(0);
        await record(writer, 'while cut');

        await eventually(() => expect(ear.heard).toEqual(['while cut']), 3_000);
        await record(writer, 'afterwards');
        await eventually(() => expect(ear.heard).toEqual(['while cut', 'afterwards']), 1_000);
      });
    });
  });

  describe('that are durable', () => {
    it('hear every event of their types, in order', async () => {
      const ear = new Ear();
      const node = await nodes.start([durableModule(name, ear)]);

      await node.app.get(UnitOfWork).run(async (tx) => tx.record({ type: 'other_noted', text: 'not mine' } as never));
      await Promise.all(numbers(1, 30).map((text) => record(node, text)));

      await eventually(() => expect(ear.heard).toHaveLength(30));
      const logged = await node.database.query(
        `SELECT data->>'text' AS text FROM events WHERE type = 'note_noted' ORDER BY txid, seq`,
      );
      expect(ear.heard).toEqual(logged.map(({ text }) => text as string).slice(-30));
    });

    it('go on where they stopped when the server starts again', async () => {
      const ear = new Ear();
      const other = await nodes.start();
      const node = await nodes.start([durableModule(name, ear)]);
      await record(node, '1', '2');
      await eventually(() => expect(ear.heard).toEqual(['1', '2']));

      await nodes.stop(node);
      await record(other, ...numbers(3, 250));
      const again = await nodes.start([durableModule(name, ear)]);
      await record(again, '251');

      await eventually(() => expect(ear.heard).toEqual(numbers(1, 251)));
    });

    it('try a failing event again, ever later, and do not skip it', async () => {
      const ear = new Ear();
      const tried: number[] = [];
      ear.react = (text) => {
        if (text !== 'bad') return;
        tried.push(performance.now());
        if (tried.length < 4) throw new Error('Not yet');
      };
      const node = await nodes.start([durableModule(name, ear)]);

      await record(node, 'good', 'bad');
      // Events that come meanwhile are no reason to try sooner.
      for (const text of numbers(1, 20)) await record(node, text);

      await eventually(() => expect(ear.heard).toEqual(['good', 'bad', 'bad', 'bad', 'bad', ...numbers(1, 20)]));
      const pauses = tried.slice(1).map((at, index) => at - tried[index]!);
      expect(pauses.map((pause, index) => pause > 195 * 2 ** index)).toEqual([true, true, true]);
    });

    it('run on one node at a time; another takes over when it stops', async () => {
      const [held, waiting] = [new Ear(), new Ear()];
      for (const ear of [held, waiting]) ear.react = () => new Promise((resolve) => setTimeout(resolve, 2));
      const first = await nodes.start([durableModule(name, held)]);
      await record(first, 'first');
      await eventually(() => expect(held.heard).toEqual(['first']));
      const second = await nodes.start([durableModule(name, waiting)]);

      await Promise.all(numbers(1, 20).map((text) => record(Number(text) % 2 === 0 ? first : second, text)));
      await eventually(() => expect(held.heard).toHaveLength(21));
      expect(waiting.heard).toEqual([]);
      await nodes.stop(first);
      await record(second, 'last');

      await eventually(() => expect(waiting.heard).toEqual(['last']));
    });

    it('stop after the event at hand when another node has taken over, and lose nothing', async () => {
      const ear = new Ear();
      const node = await nodes.start([durableModule(name, ear)]);
      const give = (node_id: string, until: string) =>
        node.database.query(`UPDATE event_consumers SET held_by = $2, held_until = ${until} WHERE name = $1`, [
          name,
          node_id,
        ]);
      ear.react = (text) => text === 'a' && ear.heard.length === 1 && give(newId(), `now() + interval '1 hour'`);

      await record(node, 'a', 'b');
      await eventually(() => expect(ear.heard).toEqual(['a']));
      await record(node, 'c');
      await node.app.get(EventTail).upToDate();
      expect(ear.heard).toEqual(['a']);
      await give(newId(), `now() - interval '1 second'`);
      await record(node, 'd');

      await eventually(() => expect(ear.heard).toEqual(['a', 'a', 'b', 'c', 'd']));
    });

    it('do not start under a name that two share', async () => {
      const starting = nodes.start([durableModule(name, new Ear()), durableModule(name, new Ear())]);

      await expect(starting).rejects.toThrow(`Two durable consumers are named ${name}`);
    });
  });
});
