import { Injectable } from '@nestjs/common';
import { currentContext } from '../platform/context/request-context.js';
import { actingAgent, isAgent } from '../platform/access/own-agent.js';
import { ownRows, projectScope, sees, visibleIn } from '../platform/access/scope.js';
import { Batch } from '../platform/database/batch.js';
import { Database, statement } from '../platform/database/database.js';
import { Gather, inOrder } from '../platform/database/gather.js';
import { assertNotShared } from '../platform/database/share-transaction.js';
import { openScope } from '../platform/database/transaction-scope.js';
import { eventRow } from '../platform/events/event-rows.js';
import { JsonResource } from '../platform/http/json-text.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { Any, In } from 'typeorm';
import { Task } from './task.entity.js';
import type { TaskStatus } from './task-state.js';
import {
  CREATE_TASKS,
  GET_TASK,
  GET_TASKS_JSON,
  INSERT_TASKS,
  READY_AT,
  RUN_LOCK,
  TASK_COLUMNS,
  type TaskRow,
} from './task.sql.js';
import { TaskCreated } from './tasks.events.js';
import { TaskNotFound } from './tasks.errors.js';

const NOW = statement('now', 'SELECT now() AS now');
const MAKE_READY = statement(
  'make_tasks_ready',
  `UPDATE tasks SET ready_at = ${READY_AT} WHERE id = ANY ($1::uuid[]) RETURNING id, ready_at`,
);
/** A workflow of the project $2, by its table's name: tasks do not know workflows. Another's is not waited for. */
const LOCK_OWN_WORKFLOW = statement(
  'lock_own_workflow',
  `SELECT id AS run_id, ${RUN_LOCK('id')} FROM workflows WHERE id = $1 AND project_id = $2`,
);
const GET_TASKS = statement('get_tasks', `SELECT ${TASK_COLUMNS} FROM tasks t WHERE t.id = ANY ($1::uuid[])`);

const LOCK_RUN_OF_TASK = statement(
  'lock_run_of_task',
  `SELECT run_id, ${RUN_LOCK('run_id')} FROM tasks
   WHERE id = $1 AND run_id IS NOT NULL AND ($2::uuid IS NULL OR project_id = $2)`,
);
const LOCK_RUNS_OF_TASKS = statement(
  'lock_runs_of_tasks',
  `SELECT run_id, ${RUN_LOCK('run_id')} FROM (
     SELECT DISTINCT run_id FROM tasks
     WHERE id = ANY ($1::uuid[]) AND run_id IS NOT NULL AND ($2::uuid IS NULL OR project_id = $2) ORDER BY run_id
   ) AS runs`,
);
const LOCK_RUNS = statement(
  'lock_runs',
  `SELECT ${RUN_LOCK('run_id')} FROM (SELECT DISTINCT unnest($1::uuid[]) AS run_id ORDER BY 1) AS runs`,
);

/** Tasks of several runs in one statement. */
const MOST_TOGETHER = 1000;

interface Creation {
  task: Task;
  /** Rows of the event log. */
  events: object[];
}

/** Of claims those that are not the caller's: of another agent, or, for one who is bound to a project, not of that. */
const CLAIMS_OF_OTHERS = statement(
  'claims_of_others',
  `SELECT given.place::int - 1 AS place
   FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::uuid[], $5::uuid[])
     WITH ORDINALITY AS given (id, token, is_agent, agent_id, project_id, place)
   LEFT JOIN tasks t ON t.id = given.id
   WHERE (given.project_id IS NOT NULL AND t.project_id IS DISTINCT FROM given.project_id)
      OR (given.is_agent AND (t.lease_token = given.token OR t.ended_lease_token = given.token)
          AND t.assigned_agent_id IS NOT NULL AND t.assigned_agent_id IS DISTINCT FROM given.agent_id)`,
);

const IS_ASSIGNED = statement(
  'is_task_assigned_to',
  `SELECT FROM tasks WHERE id = $1 AND assigned_agent_id = $2 AND ${visibleIn('project_id', '$3')}`,
);

interface Claim {
  id: string;
  token: string;
  is_agent: boolean;
  agent_id: string | null;
  project_id: string | null;
}

/** As PostgreSQL writes it, and whose it is: what is read together, several callers have asked for. */
interface TaskText {
  project_id: string | null;
  json: string;
}

/** Reads, locks and writes tasks for the services of this domain. */
@Injectable()
export class TaskStore {
  // Those of one project share its row, which may be locked while the project is deleted.
  private readonly creations = new Batch((creations: Creation[]) => this.createAll(creations), {
    keyOf: ({ task }) => task.project_id ?? '',
  });
  private readonly locking = new Gather((run_ids: string[]) => this.lockRuns(run_ids));
  private readonly inserting = new Gather((lists: (readonly Task[])[]) => this.insertAll(lists));
  /** The runs that a transaction has locked. */
  private readonly locked = new WeakMap<Transaction, Set<string>>();
  private readonly readings = new Batch((ids: string[]) => this.readAll(ids));

  private readonly claims = new Batch((claims: Claim[]) => this.judge(claims));

  constructor(private readonly database: Database) {}

  /** For a caller of role agent: it has only the tasks that are its own. Throws TaskNotFound to the agent whose task it is not. */
  async assertOwn(id: string): Promise<void> {
    const agent_id = actingAgent() ?? null;
    const rows = await this.database.query(IS_ASSIGNED, [id, agent_id, projectScope()]);
    if (rows.length === 0) throw new TaskNotFound(id);
  }

  /**
   * To a caller of role agent, or of one project, a token is not enough: the lease, and the task, must be its own. A lease
   * that is over is for dispatch to refuse. Who may act for all is not kept waiting.
   */
  async assertOwnLease(id: string, token: string): Promise<void> {
    const project_id = projectScope();
    const is_agent = isAgent();
    if (!is_agent && project_id === null) return;
    const claim = { id, token, is_agent, agent_id: actingAgent() ?? null, project_id };
    if (!(await this.claims.add(claim))) throw new TaskNotFound(id);
  }

  private async judge(claims: Claim[]): Promise<boolean[]> {
    const all = <Name extends keyof Claim>(name: Name) => claims.map((claim) => claim[name]);
    const rows = await this.database.query<{ place: number }>(CLAIMS_OF_OTHERS, [
      all('id'),
      all('token'),
      all('is_agent'),
      all('agent_id'),
      all('project_id'),
    ]);
    const refused = new Set(rows.map(({ place }) => place));
    return claims.map((_claim, place) => !refused.has(place));
  }

  /** The database's clock: the only one that decides. */
  async now(): Promise<Date> {
    const [row] = await this.database.query<{ now: Date }>(NOW);
    return row!.now;
  }

  /** Null: there is none that the caller may see. */
  async find(id: string): Promise<TaskRow | null> {
    const [row] = await this.database.query<TaskRow & Record<string, unknown>>(GET_TASK, [id]);
    return row && sees(row) ? row : null;
  }

  /** The task as clients see it, as JSON. */
  async getJson(id: string): Promise<JsonResource> {
    const found = await this.readings.add(id);
    if (found === null || !sees(found)) throw new TaskNotFound(id);
    return new JsonResource(id, found.json);
  }

  /** In the order of the ids. */
  async getAll(ids: readonly string[]): Promise<TaskRow[]> {
    const rows = await this.database.query<TaskRow & Record<string, unknown>>(GET_TASKS, [ids]);
    return inOrder(ids, rows, 'id').map((row) => row!);
  }

  async get(id: string): Promise<TaskRow> {
    const row = await this.find(id);
    if (!row) throw new TaskNotFound(id);
    return row;
  }

  /**
   * Locks the task until the transaction ends; before it its run, so that all locks of a run come in one order. Throws
   * TaskNotFound, also where it is not for the caller to change.
   */
  async lock(tx: Transaction, id: string): Promise<Task> {
    this.noteRunLocks(await this.database.query(LOCK_RUN_OF_TASK, [id, projectScope()]));
    const where = { id, ...ownRows() };
    const task = await tx.manager.findOne(Task, { where, lock: { mode: 'pessimistic_write' } });
    if (!task) throw new TaskNotFound(id);
    return task;
  }

  /** Those of them that exist, whosever they are, locked in one order, so that two such calls cannot deadlock. */
  lockAll(tx: Transaction, ids: readonly string[]): Promise<Task[]> {
    return this.lockThose(tx, ids, null);
  }

  /** Those of them that the caller may change. */
  lockOwn(tx: Transaction, ids: readonly string[]): Promise<Task[]> {
    return this.lockThose(tx, ids, projectScope());
  }

  private async lockThose(tx: Transaction, ids: readonly string[], project_id: string | null): Promise<Task[]> {
    this.noteRunLocks(await this.database.query(LOCK_RUNS_OF_TASKS, [ids, project_id]));
    return tx.manager.find(Task, {
      where: { id: In([...ids]), ...(project_id !== null && { project_id }) },
      order: { id: 'ASC' },
      lock: { mode: 'pessimistic_write' },
    });
  }

  /** To be taken before the locks of the run's tasks. */
  async lockRun(run_id: string): Promise<void> {
    if (!this.runLocks()?.has(run_id)) await this.locking.add(run_id);
  }

  /** People do one thing after the other with a workflow. Its lock comes before those of its runs and tasks. */
  async lockWorkflow(workflow_id: string): Promise<void> {
    const project_id = projectScope();
    if (project_id === null) return this.lockRun(workflow_id);
    this.noteRunLocks(await this.database.query(LOCK_OWN_WORKFLOW, [workflow_id, project_id]));
  }

  /** The runs are locked by a statement of the caller's: this transaction need not do it again. */
  noteRunLocks(rows: readonly { run_id?: string | null }[]): void {
    for (const { run_id } of rows) if (run_id) this.runLocks()?.add(run_id);
  }

  /** Locks the tasks of a run that are in one of the states. */
  lockAllOfRun(tx: Transaction, run_id: string, statuses: readonly TaskStatus[]): Promise<Task[]> {
    return tx.manager.find(Task, {
      where: { run_id, status: In([...statuses]) },
      order: { id: 'ASC' },
      lock: { mode: 'pessimistic_write' },
    });
  }

  /** Writes the changes to the row and to the task in hand. */
  save(tx: Transaction, task: Task, changes: Partial<Task>): Promise<void> {
    return this.saveAll(tx, [task], changes);
  }

  async saveAll(tx: Transaction, tasks: readonly Task[], changes: Partial<Task>): Promise<void> {
    if (tasks.length === 0) return;
    for (const task of tasks) Object.assign(task, changes);
    const ids = tasks.map(({ id }) => id);
    // TypeORM's type of a partial update does not know free-form JSON.
    await tx.manager.update(Task, { id: Any(ids) }, { ...changes, updated_at: () => 'now()' } as never);
  }

  /** Lets dispatch see those that are pending, unless they are held, from their scheduled time on. */
  async makeReady(tasks: readonly Task[]): Promise<void> {
    if (tasks.length === 0) return;
    type Ready = { id: string; ready_at: Date | null };
    const rows = await this.database.query<Ready>(MAKE_READY, [tasks.map(({ id }) => id)]);
    const times = new Map(rows.map(({ id, ready_at }) => [id, ready_at]));
    for (const task of tasks) task.ready_at = times.get(task.id) ?? null;
  }

  /** One task with its event, and the record of the request. */
  async createOne(task: Task): Promise<JsonResource> {
    const created = new TaskCreated(task);
    const { trace } = currentContext();
    const create = (record: object | null): Promise<JsonResource> =>
      this.creations.add({ task, events: record ? [eventRow(created), record] : [eventRow(created)] });
    const tx = openScope()?.transaction;
    // That may still be rolled back, and tried again with another task: the trace tells of what was committed.
    if (tx) tx.afterCommit(() => trace?.noteEvent(created));
    else trace?.noteEvent(created);
    return trace && !tx ? trace.recordWithin(create) : create(null);
  }

  /** Many tasks, with one event each. */
  async createMany(tx: Transaction, tasks: readonly Task[]): Promise<void> {
    if (tasks.length === 0) return;
    await this.inserting.add(tasks);
    for (const task of tasks) await tx.announce(new TaskCreated(task));
  }

  private runLocks(): Set<string> | undefined {
    const tx = openScope()?.transaction;
    if (tx && !this.locked.has(tx)) this.locked.set(tx, new Set());
    return tx && this.locked.get(tx);
  }

  /** Whatever comes after it on the transaction's connection, waits with it. */
  private async lockRuns(run_ids: string[]): Promise<void[]> {
    this.database.send(LOCK_RUNS, [run_ids]);
    this.noteRunLocks(run_ids.map((run_id) => ({ run_id })));
    return [];
  }

  private async insertAll(lists: (readonly Task[])[]): Promise<void[]> {
    const tasks = lists.flat();
    if (lists.length > 1 && tasks.length > MOST_TOGETHER) {
      assertNotShared();
      for (const list of lists) await this.insertAll([list]);
      return [];
    }
    type Inserted = Pick<Task, 'id' | 'ready_at' | 'created_at' | 'updated_at'> & Record<string, unknown>;
    const rows = await this.database.query<Inserted>(INSERT_TASKS, [JSON.stringify(tasks)]);
    const inserted = new Map(rows.map((row) => [row.id, row]));
    for (const task of tasks) {
      const { ready_at, created_at, updated_at } = inserted.get(task.id)!;
      Object.assign(task, { ready_at, created_at, updated_at });
    }
    return [];
  }

  private async createAll(creations: Creation[]): Promise<JsonResource[]> {
    const tasks = creations.map(({ task }) => task);
    const values = [JSON.stringify(tasks), JSON.stringify(creations.flatMap(({ events }) => events))];
    const rows = await this.database.query<{ id: string; json: string }>(CREATE_TASKS, values);
    const ids = tasks.map(({ id }) => id);
    return inOrder(ids, rows, 'id').map((row) => new JsonResource(row!.id, row!.json));
  }

  private async readAll(ids: string[]): Promise<(TaskText | null)[]> {
    return inOrder(ids, await this.database.query<TaskText & { id: string }>(GET_TASKS_JSON, [ids]), 'id');
  }
}
