import { type DynamicModule, Injectable } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { Within } from '../src/platform/events/handlers.js';
import { TaskCreated, TaskUpdated } from '../src/tasks/tasks.events.js';
import { eventually } from './support/eventually.js';
import { makeProject, makeTask } from './support/makers.js';
import { startTestApp, type TestApp } from './support/test-app.js';

type Ref = { id: string };

/** Stops the transaction that records the next event of a title, with its changes made but not committed. */
class Gate {
  private title: string | null = null;
  private arrive: () => void = () => undefined;
  private open: () => void = () => undefined;
  private opened = Promise.resolve();

  /** Resolves once the transaction that the work begins has come so far. */
  async stop<T>(title: string, work: () => Promise<T>): Promise<{ goOn: () => Promise<T> }> {
    const arrived = new Promise<void>((resolve) => (this.arrive = resolve));
    this.opened = new Promise((resolve) => (this.open = resolve));
    this.title = title;
    const done = work();
    await Promise.race([arrived, done.then(() => Promise.reject(new Error(`Nothing was recorded of ${title}`)))]);
    return {
      goOn: () => {
        this.open();
        return done;
      },
    };
  }

  pass(event: { title: string }): Promise<void> {
    if (event.title !== this.title) return Promise.resolve();
    this.title = null;
    this.arrive();
    return this.opened;
  }

  letAllPass(): void {
    this.open();
  }
}

function gateModule(gate: Gate): DynamicModule {
  @Injectable()
  class GateKeeper {
    @Within([TaskCreated, TaskUpdated])
    pass(event: TaskCreated | TaskUpdated): Promise<void> {
      return gate.pass(event);
    }
  }
  return { module: class GateModule {}, providers: [GateKeeper] };
}

// The embedded database has one session: its transactions come one after the other.
describe.skipIf(!inject('template'))('two transactions about the same dependency', () => {
  const gate = new Gate();
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp({ extra: [gateModule(gate)] });
  });
  afterEach(() => gate.letAllPass());
  afterAll(() => server.close());

  const read = async ({ id }: Ref) => (await server.get(`/api/v1/tasks/${id}`)).body;
  const move = ({ id }: Ref, status: string) => server.patch(`/api/v1/tasks/${id}/status`, { status });
  const retry = ({ id }: Ref) => server.post(`/api/v1/tasks/${id}/retry`);
  const after = (title: string, ...tasks: Ref[]) =>
    makeTask(server, { title, dependencies: tasks.map(({ id }) => id) });

  /** Begins the work, and resolves when it waits for a lock or is done. */
  async function begin<T>(work: Promise<T>): Promise<{ done: Promise<T> }> {
    let isDone = false;
    const done = work.finally(() => (isDone = true));
    await eventually(async () => {
      const waiting = await server.database.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0`,
      );
      expect(isDone || waiting.length > 0).toBe(true);
    });
    return { done };
  }

  it('a task that is revived hears of the dependency that completes meanwhile', async () => {
    const [failed, other] = [await makeTask(server), await makeTask(server)];
    const task = await after('revived', failed, other);
    await move(failed, 'cancelled');
    expect(await read(task)).toMatchObject({ status: 'skipped' });

    const retrying = await gate.stop('revived', () => retry(failed));
    const completing = await begin(move(other, 'completed'));
    await retrying.goOn();
    await completing.done;

    expect(await read(task)).toMatchObject({ status: 'blocked' });
    await move(failed, 'completed');
    expect(await read(task)).toMatchObject({ status: 'pending', ready_at: expect.any(String) });
  });

  it('a task that begins anew hears of the dependency that completes meanwhile', async () => {
    const dependency = await makeTask(server);
    const task = await after('anew', dependency);
    await server.post(`/api/v1/tasks/${task.id}/cancel`);

    const retrying = await gate.stop('anew', () => retry(task));
    const completing = await begin(move(dependency, 'completed'));
    await retrying.goOn();
    await completing.done;

    expect(await read(task)).toMatchObject({ status: 'pending', ready_at: expect.any(String) });
  });

  it('a dependency that completes while it is removed is not counted for another', async () => {
    const [removed, left] = [await makeTask(server), await makeTask(server)];
    const task = await after('freed', removed, left);

    const removing = await gate.stop('freed', () =>
      server.delete(`/api/v1/tasks/${task.id}/dependencies/${removed.id}`),
    );
    const completing = await begin(move(removed, 'completed'));
    await removing.goOn();
    await completing.done;

    expect(await read(task)).toMatchObject({ status: 'blocked', dependencies: [left.id] });
    await move(left, 'completed');
    expect(await read(task)).toMatchObject({ status: 'pending' });
  });

  it('a task that is created to wait for one is freed when that is removed with its project', async () => {
    const { id: project_id } = await makeProject(server);
    const inside = await makeTask(server, { project_id });

    const creating = await gate.stop('outside', () => after('outside', inside));
    const removing = await begin(server.delete(`/api/v1/projects/${project_id}`));
    const task = await creating.goOn();

    expect(await removing.done).toMatchObject({ status: 204 });
    expect(await read(task)).toMatchObject({ status: 'pending', dependencies: [] });
  });

  it('a task that is revived waits no longer for one that is removed meanwhile with its project', async () => {
    const { id: project_id } = await makeProject(server);
    const inside = await makeTask(server, { project_id });
    const failed = await makeTask(server);
    const task = await after('revived outside', failed, inside);
    await move(failed, 'cancelled');

    const retrying = await gate.stop('revived outside', () => retry(failed));
    const removing = await begin(server.delete(`/api/v1/projects/${project_id}`));
    await retrying.goOn();
    await removing.done;

    await move(failed, 'completed');
    expect(await read(task)).toMatchObject({ status: 'pending', dependencies: [failed.id] });
  });
});
