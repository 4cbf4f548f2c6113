import { Injectable } from '@nestjs/common';
import { IsNull, Not } from 'typeorm';
import { addVisible, assertStays, owns, placeOf, projectScope, sees, visibleIn } from '../platform/access/scope.js';
import { changesSince, snapshot } from '../platform/context/request-trace.js';
import { Database, type NamedStatement, statement } from '../platform/database/database.js';
import { Filters } from '../platform/database/filters.js';
import { Gather, inOrder } from '../platform/database/gather.js';
import { listRows, type Sort } from '../platform/database/list-rows.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import type { Page } from '../platform/http/page.js';
import { InvalidInput } from '../platform/errors/common.errors.js';
import { ProjectsService } from '../projects/projects.service.js';
import { Task } from '../tasks/task.entity.js';
import { TaskLifecycle } from '../tasks/task-lifecycle.js';
import { TaskRemoval } from '../tasks/task-removal.js';
import { TaskStore } from '../tasks/task-store.js';
import { Definitions } from './definitions.js';
import type { UpdateWorkflowDto, ValidateWorkflowDto } from './dto/change-workflow.dto.js';
import type { CreateWorkflowDto } from './dto/create-workflow.dto.js';
import { type ListWorkflowsQuery, WorkflowSort } from './dto/list-workflows.query.js';
import type { ValidationResponse, WorkflowSummaryResponse } from './dto/workflow.response.js';
import { isLive, LIVE_STATUSES, RunStatus } from './run-state.js';
import { nextTick, Overlap, scheduleErrors } from './schedule.js';
import { Workflow, type WorkflowRow } from './workflow.entity.js';
import { LIVE_RUNS } from './run.sql.js';
import type { WorkflowRun } from './workflow-run.entity.js';
import { WorkflowStatus } from './workflow-state.js';
import { WorkflowIsRunning, WorkflowNotFound } from './workflows.errors.js';
import { WorkflowCreated, WorkflowDeleted, WorkflowUpdated } from './workflows.events.js';

const COLUMNS = `w.*, coalesce((SELECT json_agg(json_build_object('id', a.agent_id, 'name', a.agent_name) ORDER BY a.agent_name)
  FROM workflow_agents a WHERE a.workflow_id = w.id), '[]') AS assigned_agents`;

const SORTS: Record<WorkflowSort, Sort> = {
  name: { expression: 'w.name', type: 'text' },
  status: { expression: 'w.status', type: 'text' },
  created_at: { expression: 'w.created_at', type: 'timestamptz' },
  updated_at: { expression: 'w.updated_at', type: 'timestamptz' },
};

const SHOW = statement('show_workflows', `SELECT ${COLUMNS} FROM workflows w WHERE w.id = ANY ($1::uuid[])`);
const READ = statement('read_workflows', 'SELECT w.* FROM workflows w WHERE w.id = ANY ($1::uuid[])');

export type LiveRunRow = Pick<WorkflowRun, 'id' | 'workflow_id' | 'status' | 'scheduled_at'>;

/** Workflows as people write them. Their executions: RunsService. */
@Injectable()
export class WorkflowsService {
  private readonly showing = new Gather((ids: string[]) => this.rowsOf(SHOW, ids));
  private readonly reading = new Gather((ids: string[]) => this.rowsOf(READ, ids));
  private readonly live = new Gather((ids: string[]) => this.liveRunsOfAll(ids));

  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly projects: ProjectsService,
    private readonly definitions: Definitions,
    private readonly removal: TaskRemoval,
    private readonly lifecycle: TaskLifecycle,
    private readonly taskStore: TaskStore,
  ) {}

  list(query: ListWorkflowsQuery): Promise<Page<WorkflowRow>> {
    const filters = new Filters()
      .add('w.status = ?', query.status)
      .add('w.workflow_type = ?', query.workflow_type)
      .add('w.project_id = ?', query.project_id)
      .add('w.is_template = ?', query.is_template)
      .add('w.tags && ?::text[]', query.tags)
      .addSearch('w.name', query.search);
    return listRows<WorkflowRow & Record<string, unknown>>(this.database, {
      from: 'workflows w',
      alias: 'w',
      columns: COLUMNS,
      filters: addVisible(filters, 'w.project_id'),
      sorts: SORTS,
      sort_by: query.sort_by ?? WorkflowSort.CreatedAt,
      query,
    });
  }

  async get(id: string): Promise<WorkflowRow> {
    const row = await this.showing.add(id);
    if (!row || !sees(row)) throw new WorkflowNotFound(id);
    return row;
  }

  /**
   * What people do with a workflow, they do one after the other. Its row is not locked: runs write their progress to it
   * while they hold locks of their own. Throws WorkflowNotFound, also where it is not for the caller to change.
   */
  async lock(tx: Transaction, id: string): Promise<Workflow> {
    await this.assertOwn(id);
    return this.lockAny(tx, id);
  }

  /** The same, and its live run: of several the newest. */
  async lockWithRun(_tx: Transaction, id: string): Promise<{ workflow: Workflow; run: LiveRunRow | null }> {
    await this.assertOwn(id);
    await this.taskStore.lockRun(id);
    const [workflow, run] = await Promise.all([this.read(id), this.liveRun(id)]);
    return { workflow, run };
  }

  /** Whosever it is: for what follows from something that the caller may do. */
  async lockAny(_tx: Transaction, id: string): Promise<Workflow> {
    await this.taskStore.lockRun(id);
    return this.read(id);
  }

  /** Another's is not waited for; who sees all of them need not look. */
  private async assertOwn(id: string): Promise<void> {
    if (projectScope() === null) return;
    const row = await this.reading.add(id);
    if (!row || !owns(row)) throw new WorkflowNotFound(id);
  }

  private async read(id: string): Promise<Workflow> {
    const row = await this.reading.add(id);
    if (!row) throw new WorkflowNotFound(id);
    return Object.assign(new Workflow(), row);
  }

  async create(dto: CreateWorkflowDto): Promise<WorkflowRow> {
    const project_id = placeOf(dto.project_id);
    await this.projects.assertExists(project_id);
    const definition = await this.definitions.accept(dto);
    return this.unitOfWork.run(async (tx) => {
      const scheduled = acceptSchedule(dto, await this.taskStore.now());
      const workflow = Object.assign(
        new Workflow(),
        columnsOf(dto),
        { project_id },
        scheduled,
        definition !== undefined && { definition },
      );
      await tx.manager.save(workflow);
      tx.record(new WorkflowCreated(workflow));
      return this.get(workflow.id);
    });
  }

  /** A run that has begun keeps its definition. Only what is given is written: the rest may be the run's at this moment. */
  async update(id: string, dto: UpdateWorkflowDto): Promise<WorkflowRow> {
    assertStays(dto.project_id);
    await this.projects.assertExists(dto.project_id);
    const definition = await this.definitions.accept(dto);
    return this.unitOfWork.run(async (tx) => {
      const workflow = await this.lock(tx, id);
      const scheduled = acceptSchedule(dto, await this.taskStore.now());
      const accepted = { ...columnsOf(dto), ...scheduled, ...(definition !== undefined && { definition }) };
      const before = snapshot(workflow);
      const changes = { ...accepted, updated_at: new Date() };
      // TypeORM's type of a partial update does not know free-form JSON.
      await tx.manager.update(Workflow, { id }, changes as never);
      const told = { ...columnsOf(dto), ...scheduled, ...(definition !== undefined && { definition: 'changed' }) };
      tx.record(new WorkflowUpdated(Object.assign(workflow, changes), told));
      tx.changed('workflow', id, changesSince(before, workflow, Object.keys(accepted)));
      return this.get(id);
    });
  }

  /** Checks without saving: what is given, else what is saved. */
  async validate(id: string, dto: ValidateWorkflowDto): Promise<ValidationResponse> {
    return this.definitions.validate(dto, (await this.get(id)).definition);
  }

  async setStatus(tx: Transaction, workflow: Workflow, status: WorkflowStatus): Promise<void> {
    const old_status = workflow.status;
    if (old_status === status) return;
    workflow.status = status;
    await tx.manager.update(Workflow, { id: workflow.id }, { status, updated_at: new Date() });
    tx.record(new WorkflowUpdated(workflow, { status }, old_status));
  }

  async delete(id: string): Promise<void> {
    await this.unitOfWork.run(async (tx) => {
      const { workflow, run } = await this.lockWithRun(tx, id);
      if (run) throw new WorkflowIsRunning(id, run.id, 'cancel it first');
      await this.removeWithTasks(tx, id);
      tx.record(new WorkflowDeleted(workflow));
    });
  }

  /** The runs that are not over, the newest first: one, unless the schedule allows more. */
  liveRuns(workflow_id: string): Promise<LiveRunRow[]> {
    return this.live.add(workflow_id);
  }

  /** The newest of them, if there is one. */
  async liveRun(workflow_id: string): Promise<LiveRunRow | null> {
    return (await this.liveRuns(workflow_id))[0] ?? null;
  }

  private async rowsOf(query: NamedStatement, ids: string[]): Promise<(WorkflowRow | null)[]> {
    const rows = await this.database.query<WorkflowRow & Record<string, unknown>>(query, [ids]);
    return inOrder(ids, rows, 'id');
  }

  private async liveRunsOfAll(workflow_ids: string[]): Promise<LiveRunRow[][]> {
    const rows = await this.database.query<LiveRunRow & Record<string, unknown>>(LIVE_RUNS, [workflow_ids]);
    return workflow_ids.map((id) => rows.filter(({ workflow_id }) => workflow_id === id));
  }

  async summarise(): Promise<WorkflowSummaryResponse> {
    const workflows = await this.database.query<{ status: WorkflowStatus; count: number; progress: number }>(
      `SELECT status, count(*)::int AS count, sum(progress_percentage) AS progress FROM workflows
       WHERE ${visibleIn('project_id', '$1')} GROUP BY status`,
      [projectScope()],
    );
    const runs = await this.database.query<{ status: RunStatus; count: number }>(
      // Whose a run is, its workflow says; who sees all of them need not ask it.
      `SELECT r.status, count(*)::int AS count FROM workflow_runs r
       WHERE $1::uuid IS NULL OR EXISTS (
         SELECT FROM workflows w WHERE w.id = r.workflow_id AND (w.project_id IS NULL OR w.project_id = $1))
       GROUP BY r.status`,
      [projectScope()],
    );
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    const total = sum(workflows.map(({ count }) => count));
    const over = sum(runs.filter(({ status }) => !isLive(status)).map(({ count }) => count));
    const completed = runs.find(({ status }) => status === RunStatus.Completed)?.count ?? 0;
    const round = (value: number) => Math.round(value * 100) / 100;
    return {
      total,
      by_status: Object.fromEntries(
        Object.values(WorkflowStatus).map((status) => [
          status,
          workflows.find((row) => row.status === status)?.count ?? 0,
        ]),
      ) as Record<WorkflowStatus, number>,
      live_runs: sum(runs.filter(({ status }) => LIVE_STATUSES.includes(status)).map(({ count }) => count)),
      avg_progress: total === 0 ? 0 : round(sum(workflows.map(({ progress }) => progress)) / total),
      run_success_rate: over === 0 ? 0 : round((completed / over) * 100),
    };
  }

  async deleteOfProject(tx: Transaction, project_id: string): Promise<void> {
    for (const { id } of await tx.manager.findBy(Workflow, { project_id })) {
      await this.removeWithTasks(tx, id);
    }
  }

  private async removeWithTasks(tx: Transaction, id: string): Promise<void> {
    // Runs before tasks: the order of all locks. Then nobody can lease a task any more.
    const runs = await this.database.query<{ run_id: string }>(
      'SELECT DISTINCT run_id FROM tasks WHERE workflow_id = $1 AND run_id IS NOT NULL ORDER BY run_id',
      [id],
    );
    for (const { run_id } of runs) await this.taskStore.lockRun(run_id);
    await tx.manager.query('SELECT id FROM tasks WHERE workflow_id = $1 ORDER BY id FOR UPDATE', [id]);
    // Those that agents still hold are cancelled first, which frees the agents' slots.
    const held = await tx.manager.findBy(Task, { workflow_id: id, lease_token: Not(IsNull()) });
    for (const task of held) await this.lifecycle.cancel(tx, task);
    await this.removal.ofWorkflow(tx, id);
    await tx.manager.delete(Workflow, { id });
  }
}

/** The fields of the body that are columns of the same name. */
function columnsOf(dto: UpdateWorkflowDto): Partial<Workflow> {
  const { definition: _definition, steps: _steps, schedule: _schedule, ...columns } = dto;
  return columns;
}

/** The schedule in a body, checked, with its first tick after `now`. */
function acceptSchedule(
  { schedule: given }: UpdateWorkflowDto,
  now: Date,
): Pick<Partial<Workflow>, 'schedule' | 'next_tick_at'> {
  if (given === undefined) return {};
  if (given === null) return { schedule: null, next_tick_at: null };
  const schedule = { cron: given.cron, timezone: given.timezone ?? 'UTC', overlap: given.overlap ?? Overlap.Skip };
  const errors = scheduleErrors(schedule, now);
  if (errors.length > 0) {
    throw new InvalidInput(errors.map(({ field, detail }) => ({ pointer: `/schedule/${field}`, detail })));
  }
  return { schedule, next_tick_at: nextTick(schedule, now) };
}
