import { type DynamicModule, Injectable } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newId } from '../src/platform/database/new-id.js';
import { EventLog } from '../src/platform/events/event-log.js';
import { EventRetention } from '../src/platform/events/event-retention.js';
import { Durable } from '../src/platform/events/handlers.js';
import { encodePosition } from '../src/platform/events/position.js';
import { eventually } from './support/eventually.js';
import { makeProject } from './support/makers.js';
import { SocketClient } from './support/socket-client.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const DAYS = 30;

/** A durable consumer that reads nothing until it is let. */
class Gate {
  readonly heard: string[] = [];
  open: () => void = () => undefined;
  private readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });

  get module(): DynamicModule {
    const hear = async (type: string): Promise<void> => {
      await this.opened;
      this.heard.push(type);
    };
    @Injectable()
    class Consumer {
      @Durable({ name: 'slow', types: ['*'] })
      hear(event: { type: string }): Promise<void> {
        return hear(event.type);
      }
    }
    return { module: class GateModule {}, providers: [Consumer] };
  }
}

describe('the retention of events', () => {
  let server: TestApp;
  /** Without background work, which could come before the test. */
  const start = async (days: number, extra: DynamicModule[] = [], ROLE = 'api'): Promise<void> => {
    server = await startTestApp({ environment: { EVENT_RETENTION_DAYS: days, ROLE }, extra, isListening: true });
    await server.listen();
  };
  afterEach(() => server.close());

  /** Events as they were written so many days ago. */
  const write = (type: string, days: number, count = 1) =>
    server.database.query(
      `INSERT INTO events (id, type, source, severity, actor_type, data, metadata, created_at)
       SELECT gen_random_uuid(), $1, 'system', 'info', 'system', '{}', '{}', now() - make_interval(days => $2)
       FROM generate_series(1, $3)`,
      [type, days, count],
    );
  const types = async (): Promise<string[]> =>
    (await server.database.query<{ type: string }>('SELECT type FROM events ORDER BY txid, seq')).map(
      ({ type }) => type,
    );
  const removeOld = () => server.app.get(EventRetention).removeOld();

  describe('that is on', () => {
    beforeEach(() => start(DAYS));

    it('removes what is older, in as many batches as it takes, and nothing younger', async () => {
      await write('old', DAYS + 1, 4_500);
      await write('young', DAYS - 1, 3);

      // What other transactions of a shared server may still hold back is removed the next time.
      let removed = 0;
      await eventually(async () => expect((removed += await removeOld())).toBe(4_500));

      expect(await types()).toEqual(['young', 'young', 'young']);
      await expect(server.database.query('DELETE FROM events')).rejects.toThrow('append-only');
    });

    it('keeps the order whole: an old event after a younger one stays', async () => {
      await write('old', DAYS + 1);
      await write('young', DAYS - 1);
      await write('late', DAYS + 1);

      await eventually(async () => {
        await removeOld();
        expect(await types()).toEqual(['young', 'late']);
      });
    });

    it('tells sockets that resume from before it that something is missing', async () => {
      const client = await SocketClient.connect(await server.app.getUrl());
      const { position } = await client.join('projects');
      await write('old', DAYS + 1);
      await makeProject(server);
      const [last] = await server.database.query<{ txid: string; seq: string }>(
        `SELECT txid::text, seq FROM events WHERE type = 'old'`,
      );
      await eventually(async () => {
        await removeOld();
        expect(await types()).toEqual(['project_created', 'request_handled']);
      });

      const answer = await client.join('projects', position);
      expect(answer).toEqual({ room: 'projects', gap: true, oldest: encodePosition(last!) });

      const again = await SocketClient.connect(await server.app.getUrl());
      expect(await again.join('projects', answer.oldest)).toMatchObject({ position: expect.any(String) });
      await eventually(() => expect(again.payloads('project_created')).toHaveLength(1));
    });
  });

  it('keeps what a durable consumer has not read, however old', async () => {
    const gate = new Gate();
    await start(DAYS, [gate.module], 'all');
    await write('old', DAYS + 1, 3);

    await removeOld();
    const end = await server.app.get(EventLog).end();
    expect(await server.app.get(EventLog).forget({ ...end, txid: String(BigInt(end.txid) + 1n) })).toBe(0);
    expect(await types()).toEqual(['old', 'old', 'old']);
    gate.open();
    await eventually(() => expect(gate.heard).toEqual(['old', 'old', 'old']));

    await eventually(async () => {
      await removeOld();
      expect(await types()).toEqual([]);
    });
  });

  it('is off by default', async () => {
    await start(0);
    await write('old', 10_000);

    expect(await removeOld()).toBe(0);
    expect(await types()).toEqual(['old']);
  });

  it('leaves the log to those who begin to read afterwards', async () => {
    await start(DAYS);
    await write('old', DAYS + 1);
    await eventually(async () => {
      await removeOld();
      expect(await types()).toEqual([]);
    });

    const { id } = await makeProject(server, { name: `After ${newId()}` });

    expect(await server.events({ project_id: id })).toMatchObject([{ type: 'project_created' }]);
  });
});
