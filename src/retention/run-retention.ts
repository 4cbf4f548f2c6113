import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { Environment } from '../platform/config/environment.js';
import { Database, statement } from '../platform/database/database.js';
import { UnitOfWork } from '../platform/database/unit-of-work.js';
import { Recurring } from '../platform/queues/recurring.decorator.js';
import { ENDED } from '../tasks/task-state.js';
import { TaskStore } from '../tasks/task-store.js';
import { LIVE_STATUSES } from '../workflows/run-state.js';
import { RunRemoved } from './retention.events.js';

const RUNS = 100;
/** Tasks that are removed in one transaction, so that none is long. */
const TASKS = 1_000;

/**
 * A run that nothing needs any more: it ended more than $1 days ago, all of its tasks have ended ($2), no other open
 * task waits for one of them, and no live run ($3) repeats it. The newest run of a workflow without a definition stays:
 * its tasks are what the workflow holds.
 */
const IS_REMOVABLE = `
  r.completed_at < now() - make_interval(days => $1) AND r.created_at < now() - make_interval(days => $1)
  AND NOT r.status = ANY ($3::text[])
  AND NOT (r.definition IS NULL AND w.latest_run_id = r.id)
  AND NOT EXISTS (SELECT FROM workflow_runs other WHERE other.rerun_of = r.id AND other.workflow_id = r.workflow_id
                  AND other.status = ANY ($3::text[]))
  AND NOT EXISTS (SELECT FROM tasks t WHERE t.run_id = r.id AND NOT t.status = ANY ($2::text[]))
  AND NOT EXISTS (SELECT FROM tasks t JOIN task_dependencies d ON d.dependency_id = t.id JOIN tasks o ON o.id = d.task_id
                  WHERE t.run_id = r.id AND t.has_dependents AND o.run_id IS DISTINCT FROM r.id
                  AND NOT o.status = ANY ($2::text[]))`;

const REMOVABLE = statement(
  'removable_runs',
  `SELECT r.id, r.created_at::text FROM workflow_runs r JOIN workflows w ON w.id = r.workflow_id
   WHERE ${IS_REMOVABLE} AND (r.created_at, r.id) > ($4::timestamptz, $5::uuid)
   ORDER BY r.created_at, r.id LIMIT ${RUNS}`,
);

const LOCK_REMOVABLE = statement(
  'lock_removable_run',
  `SELECT r.id, r.workflow_id, r.run_number, r.status, w.project_id
   FROM workflow_runs r JOIN workflows w ON w.id = r.workflow_id
   WHERE r.id = $4 AND ${IS_REMOVABLE} FOR UPDATE OF r`,
);

const REMOVE_TASKS = statement(
  'remove_tasks_of_run',
  `WITH removed AS (DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE run_id = $1 LIMIT ${TASKS}) RETURNING id)
   SELECT count(*)::int AS count FROM removed`,
);

interface Removable {
  id: string;
  workflow_id: string;
  run_number: number;
  status: string;
  project_id: string | null;
}

interface Place {
  created_at: string;
  id: string;
}

const BEFORE_ALL: Place = { created_at: '-infinity', id: '00000000-0000-0000-0000-000000000000' };

/** Removes runs that ended more than RUN_RETENTION_DAYS ago, the oldest first. Tasks that belong to no run stay. */
@Injectable()
export class RunRetention implements OnModuleDestroy {
  private readonly logger = new Logger(RunRetention.name);
  private isStopping = false;

  constructor(
    private readonly environment: Environment,
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly tasks: TaskStore,
  ) {}

  onModuleDestroy(): void {
    this.isStopping = true;
  }

  /** Answers how many runs were removed. */
  @Recurring({ name: 'run_retention', every_ms: () => 600_000 })
  async removeOld(): Promise<number> {
    if (this.environment.RUN_RETENTION_DAYS === 0) return 0;
    let removed = 0;
    let place: Place | undefined = BEFORE_ALL;
    while (place && !this.isStopping) {
      const values = [...this.criteria, place.created_at, place.id];
      const batch: Place[] = await this.database.query<Place & Record<string, string>>(REMOVABLE, values);
      for (const { id } of batch) {
        // One that cannot be removed must not keep the others.
        const isGone = await this.remove(id).catch((error: unknown) => {
          this.logger.error(`Run ${id} could not be removed`, error);
          return false;
        });
        if (isGone) removed += 1;
      }
      place = batch.at(-1);
    }
    if (removed > 0) this.logger.log(`Removed ${removed} runs that ended more than ${this.criteria[0]} days ago`);
    return removed;
  }

  private get criteria(): [number, readonly string[], readonly string[]] {
    return [this.environment.RUN_RETENTION_DAYS, ENDED, LIVE_STATUSES];
  }

  /** In several transactions when it has many tasks; what is left after a crash is removed the next time. */
  private async remove(id: string): Promise<boolean> {
    let state: 'partly' | 'gone' | 'kept' = 'partly';
    while (state === 'partly' && !this.isStopping) state = await this.removePart(id);
    return state === 'gone';
  }

  private removePart(id: string): Promise<'partly' | 'gone' | 'kept'> {
    return this.unitOfWork.run(async (tx) => {
      await this.tasks.lockRun(id);
      const [run] = await this.database.query<Removable & Record<string, unknown>>(LOCK_REMOVABLE, [
        ...this.criteria,
        id,
      ]);
      // Somebody has begun one of its tasks anew meanwhile, or another worker was quicker.
      if (!run) return 'kept';
      const [{ count } = { count: 0 }] = await this.database.query<{ count: number }>(REMOVE_TASKS, [id]);
      if (count === TASKS) return 'partly';
      await this.database.query('DELETE FROM workflow_runs WHERE id = $1', [id]);
      await this.database.query('UPDATE workflows SET latest_run_id = NULL WHERE latest_run_id = $1', [id]);
      const { workflow_id, project_id, run_number, status } = run;
      tx.record(new RunRemoved(id, workflow_id, project_id, run_number, status, this.criteria[0]));
      return 'gone';
    });
  }
}
