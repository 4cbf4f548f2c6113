import { Injectable } from '@nestjs/common';
import { Database, statement } from '../platform/database/database.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { UnknownReference } from '../platform/errors/common.errors.js';
import { findPath, type Graph } from '../platform/graph/graph.js';
import { Task, type TaskFailure } from './task.entity.js';
import { TaskDependency } from './task-dependency.entity.js';
import { hasEnded, TaskStatus } from './task-state.js';
import { TaskStore } from './task-store.js';
import { DependencyCycle, TaskMoveRefused, TaskNotFound } from './tasks.errors.js';
import { TaskSkipped, TaskUpdated } from './tasks.events.js';

/**
 * Whatever state they seem to be in: one may at this moment begin anew, and count what it waits for without knowing that
 * $1 ends. In one order, so that two dependencies that end at once cannot deadlock over them.
 */
const LOCK_DEPENDENTS = statement(
  'lock_dependents',
  `SELECT t.id FROM tasks t JOIN task_dependencies d ON d.task_id = t.id
   WHERE d.dependency_id = $1 ORDER BY t.id FOR UPDATE OF t`,
);

/** To be asked once they are locked: only then does it see what those have done for whom the lock had to wait. */
const SATISFY = statement(
  'satisfy_dependents',
  `WITH counted AS (
     UPDATE tasks t
     SET unmet_dependencies = t.unmet_dependencies - 1, updated_at = now(),
         status = CASE WHEN t.unmet_dependencies <= 1 THEN 'pending' ELSE t.status END
     FROM task_dependencies d
     WHERE d.dependency_id = $1 AND d.task_id = t.id AND t.status = 'blocked' RETURNING t.*)
   SELECT * FROM counted WHERE status = 'pending'`,
);

/** Every task that waits for $1, directly or not, and is in one of the states $2. Locked in one order. */
const DOWNSTREAM = statement(
  'downstream_tasks',
  `WITH RECURSIVE downstream AS (
     SELECT d.task_id FROM task_dependencies d WHERE d.dependency_id = $1
     UNION
     SELECT d.task_id FROM task_dependencies d JOIN downstream s ON d.dependency_id = s.task_id)
   SELECT t.* FROM tasks t WHERE t.id IN (SELECT task_id FROM downstream) AND t.status = ANY ($2::text[])
   ORDER BY t.id FOR UPDATE`,
);

/** All dependencies that can be reached from $1. */
const UPSTREAM = statement(
  'upstream_dependencies',
  `WITH RECURSIVE upstream AS (
     SELECT $1::uuid AS id
     UNION
     SELECT d.dependency_id FROM upstream u JOIN task_dependencies d ON d.task_id = u.id)
   SELECT d.task_id, array_agg(d.dependency_id) AS dependency_ids
   FROM upstream u JOIN task_dependencies d ON d.task_id = u.id GROUP BY d.task_id`,
);

/** Any number: those who add dependencies take turns, or two of them could close a cycle that neither sees. */
const ADDING_LOCK = 7_240_002;

const COUNT_UNMET = statement(
  'count_unmet_dependencies',
  `SELECT count(*)::int AS unmet FROM task_dependencies d JOIN tasks t ON t.id = d.dependency_id
   WHERE d.task_id = $1 AND t.status <> 'completed'`,
);

/** Which task waits for which, and what follows when one of them ends. */
@Injectable()
export class TaskDependencies {
  constructor(
    private readonly database: Database,
    private readonly store: TaskStore,
  ) {}

  /** Decides whether a new task is blocked. Answers a dependency that will not complete, if there is one. */
  async prepare(tx: Transaction, task: Task, dependency_ids: readonly string[]): Promise<Task | undefined> {
    const dependencies = await this.lockDependencies(tx, dependency_ids);
    task.unmet_dependencies = dependencies.filter(({ status }) => status !== TaskStatus.Completed).length;
    if (task.unmet_dependencies > 0) task.status = TaskStatus.Blocked;
    return dependencies.find(({ status }) => hasEnded(status) && status !== TaskStatus.Completed);
  }

  async link(tx: Transaction, task_id: string, dependency_ids: readonly string[]): Promise<void> {
    if (dependency_ids.length === 0) return;
    await tx.manager.query(
      `INSERT INTO task_dependencies (task_id, dependency_id) SELECT $1, unnest($2::uuid[]) ON CONFLICT DO NOTHING`,
      [task_id, [...new Set(dependency_ids)]],
    );
  }

  async add(tx: Transaction, task_id: string, dependency_id: string): Promise<void> {
    await tx.manager.query('SELECT pg_advisory_xact_lock($1)', [ADDING_LOCK]);
    const { task, dependency } = await this.lockPair(tx, task_id, dependency_id);
    const graph = await this.upstream(dependency_id);
    const way = findPath(graph, dependency_id, task_id);
    if (way) throw new DependencyCycle([task_id, ...way]);
    if (await tx.manager.existsBy(TaskDependency, { task_id, dependency_id })) return;
    if (task.status !== TaskStatus.Pending && task.status !== TaskStatus.Blocked) {
      throw new TaskMoveRefused(task_id, task.status, TaskStatus.Blocked);
    }
    await this.link(tx, task_id, [dependency_id]);
    await this.store.save(tx, dependency, { has_dependents: true });
    const from = task.status;
    if (dependency.status !== TaskStatus.Completed) {
      await this.store.save(tx, task, {
        status: TaskStatus.Blocked,
        unmet_dependencies: task.unmet_dependencies + 1,
        ready_at: null,
      });
    }
    tx.record(new TaskUpdated(task, { added_dependency: dependency_id }, from));
  }

  /** Absent is fine. */
  async remove(tx: Transaction, task_id: string, dependency_id: string): Promise<void> {
    const task = await this.store.lock(tx, task_id);
    const removed = (await tx.manager.query('DELETE FROM task_dependencies WHERE task_id = $1 AND dependency_id = $2', [
      task_id,
      dependency_id,
    ])) as [unknown[], number];
    if (removed[1] > 0) await this.look(tx, task, { removed_dependency: dependency_id });
  }

  /** Tasks outside that wait for one of these, or will when they begin anew. These must be locked, and will be removed. */
  async waitingFor(tx: Transaction, ids: readonly string[]): Promise<string[]> {
    const rows = (await tx.manager.query(
      `SELECT DISTINCT d.task_id FROM task_dependencies d JOIN tasks t ON t.id = d.dependency_id
       WHERE d.dependency_id = ANY ($1::uuid[]) AND NOT d.task_id = ANY ($1::uuid[]) AND t.status <> 'completed'`,
      [ids],
    )) as { task_id: string }[];
    return rows.map(({ task_id }) => task_id);
  }

  /** Some of what they waited for is gone: they may have nothing left to wait for. */
  async lookAgain(tx: Transaction, ids: readonly string[]): Promise<void> {
    for (const task of await this.store.lockAll(tx, ids)) {
      if (task.status === TaskStatus.Blocked) await this.look(tx, task, { removed_dependency: true });
    }
  }

  private async look(tx: Transaction, task: Task, changes: Record<string, unknown>): Promise<void> {
    const from = task.status;
    const unmet_dependencies = await this.countUnmet(task.id);
    const isFree = task.status === TaskStatus.Blocked && unmet_dependencies === 0;
    await this.store.save(tx, task, { unmet_dependencies, ...(isFree && { status: TaskStatus.Pending }) });
    if (isFree) await this.store.makeReady([task]);
    tx.record(new TaskUpdated(task, changes, from));
  }

  async countUnmet(task_id: string): Promise<number> {
    const [row] = await this.database.query<{ unmet: number }>(COUNT_UNMET, [task_id]);
    return row!.unmet;
  }

  /** The task is completed: what waited for it alone becomes pending. */
  async satisfy(tx: Transaction, { id, has_dependents }: Task): Promise<void> {
    if (!has_dependents) return;
    await this.database.query(LOCK_DEPENDENTS, [id]);
    const tasks = await this.database.query<Task & Record<string, unknown>>(SATISFY, [id]);
    await this.store.makeReady(tasks);
    for (const task of tasks) tx.record(new TaskUpdated(task, { status: task.status }, TaskStatus.Blocked));
  }

  /** The task will not be completed: nor will what waits for it. */
  async skipDependents(tx: Transaction, failed: Task): Promise<void> {
    if (!failed.has_dependents) return;
    for (const task of await this.downstream(failed.id, [TaskStatus.Blocked, TaskStatus.Pending])) {
      await this.skipBecauseOf(tx, task, failed);
    }
  }

  skipBecauseOf(tx: Transaction, task: Task, { id, project_id, title }: Task): Promise<void> {
    // Who sees the task need not see what another project calls its own.
    const isForAll = project_id === null || project_id === task.project_id;
    const error = {
      message: `It depends on ${isForAll ? `"${title}" (${id})` : `task ${id}`}, which did not complete`,
      code: 'dependency_not_completed',
    };
    return this.skipAll(tx, [task], error);
  }

  /** They have not begun, and will not. */
  async skipAll(tx: Transaction, tasks: readonly Task[], error: TaskFailure): Promise<void> {
    const before = tasks.map(({ status }) => status);
    const completed_at = await this.store.now();
    await this.store.saveAll(tx, tasks, { status: TaskStatus.Skipped, ready_at: null, completed_at, error });
    tasks.forEach((task, index) => tx.record(new TaskSkipped(task, before[index]!, error.message)));
  }

  /** The task begins anew: so may what was skipped because of it. */
  async reviveDependents(tx: Transaction, { id, has_dependents }: Task): Promise<void> {
    if (!has_dependents) return;
    for (const task of await this.downstream(id, [TaskStatus.Skipped])) {
      await this.store.save(tx, task, {
        status: TaskStatus.Blocked,
        unmet_dependencies: await this.countUnmet(task.id),
        completed_at: null,
        error: null,
      });
      tx.record(new TaskUpdated(task, { status: task.status }, TaskStatus.Skipped));
    }
  }

  /** Before tasks are deleted: what waits for them waits no longer. */
  async release(tx: Transaction, task: Task): Promise<void> {
    if (task.status === TaskStatus.Completed) return;
    await this.satisfy(tx, task);
  }

  private async upstream(id: string): Promise<Graph> {
    const rows = await this.database.query<{ task_id: string; dependency_ids: string[] }>(UPSTREAM, [id]);
    return new Map(rows.map(({ task_id, dependency_ids }) => [task_id, dependency_ids]));
  }

  private async downstream(id: string, statuses: TaskStatus[]): Promise<Task[]> {
    return this.database.query<Task & Record<string, unknown>>(DOWNSTREAM, [id, statuses]);
  }

  /** Locked, so that none of them completes unseen meanwhile. */
  private async lockDependencies(tx: Transaction, ids: readonly string[]): Promise<Task[]> {
    if (ids.length === 0) return [];
    const dependencies = await this.store.lockOwn(tx, ids);
    const known = new Set(dependencies.map(({ id }) => id));
    ids.forEach((id, index) => {
      if (!known.has(id)) throw new UnknownReference(`dependencies/${index}`, id, 'task');
    });
    await tx.manager.query('UPDATE tasks SET has_dependents = true WHERE id = ANY ($1::uuid[])', [ids]);
    return dependencies;
  }

  private async lockPair(tx: Transaction, task_id: string, dependency_id: string) {
    const tasks = await this.store.lockOwn(tx, [task_id, dependency_id]);
    const locked = new Map(tasks.map((task) => [task.id, task]));
    const task = locked.get(task_id);
    if (!task) throw new TaskNotFound(task_id);
    const dependency = locked.get(dependency_id);
    if (!dependency) throw new UnknownReference('dependency_id', dependency_id, 'task');
    return { task, dependency };
  }
}
