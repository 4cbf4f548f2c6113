import { Injectable } from '@nestjs/common';
import { Database, statement } from '../platform/database/database.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { TaskStore } from '../tasks/task-store.js';
import { TaskUpdated } from '../tasks/tasks.events.js';
import type { Task } from '../tasks/task.entity.js';
import { TaskStatus } from '../tasks/task-state.js';
import type { Step } from './definition.js';
import { StepStatus } from './run-state.js';
import type { LiveRun } from './run-state-store.js';

/** Whoever completes one of them meanwhile waits for us, or we for him. */
const LOCK_OPEN = statement(
  'lock_open_tasks_of_workflow',
  `SELECT id, status FROM tasks WHERE workflow_id = $1 AND status <> 'completed' ORDER BY id FOR UPDATE`,
);

const BEGINS_ANEW = `t.status IN ('failed', 'cancelled', 'skipped')`;
/** A new statement sees what was completed until the locks were ours. */
const ADOPT = statement(
  'adopt_tasks',
  `UPDATE tasks t
   SET run_id = $2, is_held = false, updated_at = now(), unmet_dependencies = unmet.count,
       status = CASE WHEN NOT ${BEGINS_ANEW} THEN t.status WHEN unmet.count > 0 THEN 'blocked' ELSE 'pending' END,
       attempt = CASE WHEN ${BEGINS_ANEW} THEN 0 ELSE t.attempt END,
       progress_percentage = CASE WHEN ${BEGINS_ANEW} THEN 0 ELSE t.progress_percentage END,
       error = CASE WHEN ${BEGINS_ANEW} THEN NULL ELSE t.error END,
       started_at = CASE WHEN ${BEGINS_ANEW} THEN NULL ELSE t.started_at END,
       ended_lease_token = CASE WHEN ${BEGINS_ANEW} THEN NULL ELSE t.ended_lease_token END,
       completed_at = NULL
   FROM (SELECT o.id, (SELECT count(*)::int FROM task_dependencies d JOIN tasks n ON n.id = d.dependency_id
                       WHERE d.task_id = o.id AND n.status <> 'completed') AS count
         FROM unnest($1::uuid[]) AS o (id)) AS unmet
   WHERE t.id = unmet.id RETURNING t.*`,
);

/** Up to $3 of the tasks that the run $1 holds back, of the step $2 or of all. */
const RELEASE = statement(
  'release_tasks',
  `UPDATE tasks t
   SET is_held = false, updated_at = now(),
       ready_at = CASE WHEN t.status = 'pending' THEN greatest(now(), t.scheduled_at) END
   WHERE t.id IN (
     SELECT id FROM tasks
     WHERE run_id = $1 AND is_held AND ($2::text IS NULL OR step_key = $2) AND status IN ('pending', 'blocked')
     ORDER BY item_index, id LIMIT $3)
   RETURNING t.*`,
);

/** What a run does with many of its tasks at once. */
@Injectable()
export class RunTasks {
  constructor(
    private readonly database: Database,
    private readonly taskStore: TaskStore,
  ) {}

  /** A workflow without a definition runs the tasks that were created with its id and are not completed yet. */
  async adopt(tx: Transaction, { run, workflow }: LiveRun): Promise<number> {
    const open = await this.database.query<{ id: string; status: TaskStatus }>(LOCK_OPEN, [workflow.id]);
    const before = new Map(open.map(({ id, status }) => [id, status]));
    const tasks = await this.database.query<Task & Record<string, unknown>>(ADOPT, [[...before.keys()], run.id]);
    await this.taskStore.makeReady(tasks);
    tasks.sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const task of tasks) tx.record(new TaskUpdated(task, { run_id: run.id }, before.get(task.id)));
    return tasks.length;
  }

  async count(run_id: string): Promise<{ total_tasks: number; completed_tasks: number; failed_tasks: number }> {
    type Counts = { total_tasks: number; completed_tasks: number; failed_tasks: number };
    const [counts] = await this.database.query<Counts>(
      `SELECT count(*)::int AS total_tasks, (count(*) FILTER (WHERE status = 'completed'))::int AS completed_tasks,
              (count(*) FILTER (WHERE status IN ('failed', 'cancelled', 'skipped')))::int AS failed_tasks
       FROM tasks WHERE run_id = $1`,
      [run_id],
    );
    return counts!;
  }

  /** As many of the step's tasks may come as `max_parallel` allows beside those that are ready or in progress. */
  async releaseNext(tx: Transaction, run_id: string, { key, max_parallel }: Step): Promise<void> {
    if (max_parallel === undefined) return;
    const free = max_parallel - (await this.countActive(run_id, key));
    if (free > 0) await this.release(tx, run_id, key, free);
  }

  /** The run goes on: everything that it held comes back, as far as `max_parallel` allows. */
  async releaseAll(tx: Transaction, { run, steps }: LiveRun): Promise<void> {
    if (!run.definition) return this.release(tx, run.id, null, null);
    const running = new Set(steps.filter(({ status }) => status === StepStatus.Running).map(({ key }) => key));
    for (const step of run.definition.steps.filter(({ key }) => running.has(key))) {
      if (step.max_parallel === undefined) await this.release(tx, run.id, step.key, null);
      else await this.releaseNext(tx, run.id, step);
    }
  }

  /** Nothing more is leased; what is in progress goes on. */
  async holdAll(run_id: string): Promise<void> {
    await this.database.query(
      `UPDATE tasks SET is_held = true, ready_at = NULL, updated_at = now()
       WHERE run_id = $1 AND status IN ('pending', 'blocked')`,
      [run_id],
    );
  }

  async hold(task_id: string): Promise<void> {
    await this.database.query('UPDATE tasks SET is_held = true, ready_at = NULL WHERE id = $1', [task_id]);
  }

  private async countActive(run_id: string, key: string): Promise<number> {
    const [row] = await this.database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM tasks WHERE run_id = $1 AND step_key = $2
       AND (status = 'in_progress' OR (status = 'pending' AND NOT is_held))`,
      [run_id, key],
    );
    return row!.count;
  }

  private async release(tx: Transaction, run_id: string, key: string | null, limit: number | null): Promise<void> {
    const rows = await this.database.query<Task & Record<string, unknown>>(RELEASE, [run_id, key, limit]);
    for (const task of rows) {
      if (task.status === TaskStatus.Pending) tx.record(new TaskUpdated(task, { is_held: false }));
    }
  }
}
