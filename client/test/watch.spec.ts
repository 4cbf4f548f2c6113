import { createClient, type FlightdeckEvent, type Watch, type WatchOptions } from '@flightdeck/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EventLog } from '../../src/platform/events/event-log.js';
import { EventTail } from '../../src/platform/events/event-tail.js';
import { encodePosition } from '../../src/platform/events/position.js';
import { eventually } from '../../test/support/eventually.js';
import { complete, lease, makeAgent, makeProject, makeTask } from '../../test/support/makers.js';
import { Nodes } from '../../test/support/nodes.js';
import type { TestApp } from '../../test/support/test-app.js';
import { Proxy } from '../../test/support/proxy.js';
import { comparePositions } from '../src/position.js';

describe('a watch', () => {
  let nodes: Nodes;
  let server: TestApp;
  let proxy: Proxy;
  let project_id: string;
  let heard: FlightdeckEvent[];
  let watches: Watch[] = [];

  beforeAll(async () => {
    nodes = await Nodes.prepare();
    server = await nodes.start();
    proxy = await Proxy.to(await server.listen());
  });
  beforeEach(async () => {
    project_id = (await makeProject(server)).id;
    await told();
    heard = [];
  });
  afterEach(() => {
    for (const watch of watches) watch.close();
    watches = [];
  });
  afterAll(async () => {
    await proxy.close();
    await nodes.close();
  });

  async function watch(rooms: string | string[], options: Partial<WatchOptions> = {}): Promise<Watch> {
    const onEvent = (event: FlightdeckEvent) => void heard.push(event);
    const opened = createClient({ url: proxy.url }).watch(rooms, { onEvent, ...options });
    watches.push(opened);
    await opened.ready;
    return opened;
  }

  /** What happened so far was told: a watch that begins now does not hear of it. */
  const told = () =>
    eventually(async () => {
      // Transactions of other databases on the same server may hold the newest event back.
      const newest = encodePosition((await server.events({ project_id })).at(-1)!);
      const position = encodePosition(server.app.get(EventTail).position);
      expect(comparePositions(position, newest)).toBeGreaterThanOrEqual(0);
    });
  const titles = () => heard.filter(({ type }) => type === 'task_created').map(({ data }) => data.title);
  const write = async (...names: string[]) => {
    for (const title of names) await makeTask(server, { title, project_id });
  };
  const hears = (...names: string[]) => eventually(() => expect(titles()).toEqual(names));
  const logged = async () =>
    (await server.events({ project_id })).map((event) => [event.type, encodePosition(event)]).slice(1);
  /** Without what sockets get besides the log. */
  const heardOfLog = () =>
    heard.filter(({ type }) => type !== 'task_status_updated').map(({ type, position }) => [type, position]);

  async function restart(): Promise<void> {
    await nodes.stop(server);
    server = await nodes.start();
    proxy.leadTo(await server.listen());
  }

  it('hears what happens in its rooms from now on', async () => {
    await write('before');
    await told();
    const { position } = await watch(`project:${project_id}`);

    await write('first', 'second');

    await hears('first', 'second');
    expect(position).toEqual(expect.any(String));
    expect(heard[0]).toMatchObject({ type: 'task_created', project_id, position: expect.any(String), run_id: null });
  });

  it('hears first what it missed since a position, and knows where it is', async () => {
    const first = await watch(`project:${project_id}`);
    await write('first');
    await hears('first');
    first.close();
    await write('second');
    heard = [];

    const second = await watch(`project:${project_id}`, { since: first.position });
    await write('third');

    await hears('second', 'third');
    expect(second.position).toBe(heard.at(-1)!.position);
  });

  it('hears each event once and in order, though its connection breaks again and again', async () => {
    await watch(`project:${project_id}`);
    const names = Array.from({ length: 60 }, (_, index) => `${index}`);

    for (const [index, name] of names.entries()) {
      await write(name);
      if (index % 10 === 5) proxy.cut();
    }

    await hears(...names);
    expect(heardOfLog()).toEqual(await logged());
  });

  it('hears each event once and in order, though the server is started anew', async () => {
    await watch(`project:${project_id}`);
    await write('before');
    await hears('before');

    await restart();
    await write('after');
    await restart();
    await write('at last');

    await hears('before', 'after', 'at last');
    expect(heardOfLog()).toEqual(await logged());
  });

  it('hears what happened in several rooms in one order, also what it missed', async () => {
    const agent = await makeAgent(server, { project_id });
    await told();
    await watch([`agent:${agent.id}`, `project:${project_id}`, 'tasks']);
    const work = async () => {
      await makeTask(server, { project_id, agent_type: agent.type });
      const [leased] = await lease(server, agent);
      await complete(server, leased!);
    };

    await work();
    proxy.cut();
    for (let i = 0; i < 5; i++) await work();

    await eventually(() => expect(heard.filter(({ type }) => type === 'task_completed')).toHaveLength(6));
    const expected = (await logged()).slice(1);
    await eventually(() => expect(heardOfLog()).toEqual(expected.slice(0, heardOfLog().length)));
    const completions = heard.filter(({ type }) => type === 'task_status_updated');
    expect(new Set(completions.map(({ position }) => position)).size).toBe(completions.length);
    expect(completions).toHaveLength(12);
  });

  it('says when events are gone, and goes on with the oldest there are', async () => {
    const before = await watch('tasks');
    before.close();
    await write('first', 'second', 'third');
    const created = (await server.events({ project_id })).filter(({ type }) => type === 'task_created');
    await server.app.get(EventLog).forget(created[0]!);
    const gaps: unknown[] = [];

    await watch(`project:${project_id}`, { since: before.position, onGap: (gap) => gaps.push(gap) });

    await hears('second', 'third');
    expect(gaps).toEqual([{ room: `project:${project_id}`, oldest: encodePosition(created[0]!) }]);
  });

  it('ends when the server refuses a room', async () => {
    const refused = createClient({ url: proxy.url }).watch(['tasks', 'kitchen'], { onEvent: () => undefined });

    await expect(refused.ready).rejects.toThrow('The room kitchen cannot be joined');
    await expect(refused.closed).rejects.toThrow('kitchen');
  });

  it('goes on when its listener throws', async () => {
    const errors: Error[] = [];
    await watch(`project:${project_id}`, {
      onEvent: (event) => {
        heard.push(event);
        throw new Error('Full');
      },
      onError: (error) => errors.push(error),
    });

    await write('first', 'second');

    await hears('first', 'second');
    expect(errors.map(({ message }) => message)).toEqual(['Full', 'Full']);
  });

  it('tells of a server that is away, and is ready when it is back', async () => {
    proxy.leadTo('http://127.0.0.1:1');
    const errors: Error[] = [];
    const waiting = watch(`project:${project_id}`, { onError: (error) => errors.push(error) });
    await eventually(() => expect(errors.length).toBeGreaterThan(0));

    await restart();
    await waiting;
    await write('after');

    await hears('after');
  });

  it('hears nothing after it was closed', async () => {
    const closed = await watch(`project:${project_id}`);
    const others: FlightdeckEvent[] = [];
    await watch(`project:${project_id}`, { onEvent: (event) => others.push(event) });

    closed.close();
    await closed.closed;
    await write('first');

    await eventually(() => expect(others).toHaveLength(1));
    expect(heard).toEqual([]);
  });
});
