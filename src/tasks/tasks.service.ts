import { Injectable } from '@nestjs/common';
import { AgentsService } from '../agents/agents.service.js';
import { isAgent } from '../platform/access/own-agent.js';
import { addVisible, placeOf, projectScope, visibleIn } from '../platform/access/scope.js';
import { changesSince, snapshot } from '../platform/context/request-trace.js';
import { violatedConstraint } from '../platform/database/database-error.js';
import { Database } from '../platform/database/database.js';
import { Filters } from '../platform/database/filters.js';
import { listRows, type Sort } from '../platform/database/list-rows.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { InvalidInput, UnknownReference } from '../platform/errors/common.errors.js';
import { CommitSignal } from '../platform/events/commit-signal.js';
import { EventHistory } from '../platform/events/event-history.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { type JsonResource, JsonText } from '../platform/http/json-text.js';
import { mapPage, type Page, type PageQuery } from '../platform/http/page.js';
import type { UpdateTaskProgressDto, UpdateTaskStatusDto } from './dto/change-task.dto.js';
import type { CreateTaskDto } from './dto/create-task.dto.js';
import { type ListTasksQuery, TaskSort } from './dto/list-tasks.query.js';
import type { TaskSummaryResponse } from './dto/task.response.js';
import { columnsOf, newTask, subtasksOf, titleOf } from './new-task.js';
import { Task } from './task.entity.js';
import type { TaskRow } from './task.sql.js';
import { TaskDependencies } from './task-dependencies.js';
import { TaskEditor } from './task-editor.js';
import { TASK_JSON } from './task-json.js';
import { TaskLifecycle } from './task-lifecycle.js';
import { canPeopleMove, hasEnded, TaskStatus } from './task-state.js';
import { TaskStore } from './task-store.js';
import { TaskInProgress, TaskMoveRefused } from './tasks.errors.js';
import { TaskDeleted, TaskProgressUpdated } from './tasks.events.js';

const SORTS: Record<TaskSort, Sort> = {
  created_at: { expression: 't.created_at', type: 'timestamptz' },
  priority: { expression: 't.priority', type: 'task_priority' },
  due_date: { expression: 't.due_date', type: 'timestamptz', is_nullable: true },
  updated_at: { expression: 't.updated_at', type: 'timestamptz' },
};

/** What moves change, besides times. */
const MOVED = [
  'status',
  'assigned_agent_id',
  'attempt',
  'progress_percentage',
  'subtasks_completed',
  'subtasks_total',
  'quality_score',
  'output',
  'error',
  'cancel_requested',
] as const satisfies readonly (keyof Task)[];

/** Tasks as people and programs see and change them. How agents get and do them: TaskDispatch. */
@Injectable()
export class TasksService {
  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly store: TaskStore,
    private readonly lifecycle: TaskLifecycle,
    private readonly dependencies: TaskDependencies,
    private readonly editor: TaskEditor,
    private readonly agents: AgentsService,
    private readonly history: EventHistory,
    private readonly commits: CommitSignal,
  ) {}

  async list(query: ListTasksQuery): Promise<Page<JsonText>> {
    const filters = new Filters()
      .add('t.status = ?', query.status)
      .add('t.priority = ?::task_priority', query.priority)
      .add('t.assigned_agent_id = ?', await this.agentFilter(query.assigned_agent_id))
      .add('t.agent_type = ?', query.agent_type)
      .add('t.workflow_id = ?', query.workflow_id)
      .add('t.run_id = ?', query.run_id)
      .add('t.project_id = ?', query.project_id)
      .add('t.task_type = ?', query.task_type)
      .add(`(t.status = 'blocked') = ?`, query.is_blocked)
      .add('t.is_urgent = ?', query.is_urgent)
      .add('t.tags && ?::text[]', query.tags)
      .addSearch('t.title', query.search);
    const page = await listRows<{ id: string; json: string }>(this.database, {
      from: 'tasks t',
      alias: 't',
      columns: `t.id, ${TASK_JSON} AS json`,
      filters: addVisible(filters, 't.project_id'),
      sorts: SORTS,
      sort_by: query.sort_by ?? TaskSort.CreatedAt,
      query,
    });
    return mapPage(page, ({ json }) => new JsonText(json));
  }

  async get(id: string): Promise<JsonText> {
    if (isAgent()) await this.store.assertOwn(id);
    return this.store.getJson(id);
  }

  async events(id: string, query: PageQuery): Promise<Page<LoggedEvent>> {
    await this.store.get(id);
    return this.history.ofTask(id, query);
  }

  async create(dto: CreateTaskDto): Promise<JsonResource> {
    const { dependencies = [] } = dto;
    const title = titleOf(dto);
    if (title === undefined) throw new InvalidInput([{ pointer: '/title', detail: 'is required' }]);
    const agent = await this.editor.resolveAgent(dto);
    const task = newTask({
      ...columnsOf(dto),
      project_id: placeOf(dto.project_id),
      title,
      assigned_agent_id: agent?.id ?? null,
      ...subtasksOf(dto),
      ...(dto.retry && { retry: dto.retry as Task['retry'] }),
    });
    return this.unlessUnknownProject(task.project_id, async () => {
      if (dependencies.length === 0 && task.workflow_id === null) {
        const created = await this.store.createOne(task);
        this.commits.signal();
        return created;
      }
      return this.unitOfWork.run(async (tx) => {
        await this.insert(tx, task, dependencies);
        return this.store.getJson(task.id);
      });
    });
  }

  async delete(id: string): Promise<void> {
    await this.unitOfWork.run(async (tx) => {
      const task = await this.store.lock(tx, id);
      if (task.status === TaskStatus.InProgress) throw new TaskInProgress(id, 'deleted');
      await this.dependencies.release(tx, task);
      await tx.manager.delete(Task, { id });
      tx.record(new TaskDeleted(task));
    });
  }

  /** By people; see the table of moves. */
  setStatus(id: string, dto: UpdateTaskStatusDto): Promise<TaskRow> {
    return this.change(id, async (tx, task) => {
      await this.moveByHand(tx, task, dto.status, dto);
      const { progress_percentage, quality_score, output } = dto;
      const isDone = task.status === TaskStatus.Completed;
      await this.store.save(tx, task, {
        ...(progress_percentage !== undefined && !isDone && { progress_percentage }),
        ...(quality_score !== undefined && { quality_score }),
        ...(output !== undefined && { output }),
      });
    });
  }

  setProgress(id: string, dto: UpdateTaskProgressDto): Promise<TaskRow> {
    return this.change(id, async (tx, task) => {
      const { progress_percentage } = dto;
      const { subtasks_completed, subtasks_total } = subtasksOf(dto, task);
      if (hasEnded(task.status) || task.status === TaskStatus.Blocked) {
        throw new TaskMoveRefused(id, task.status, TaskStatus.InProgress);
      }
      await this.store.save(tx, task, { progress_percentage, subtasks_completed, subtasks_total });
      tx.record(new TaskProgressUpdated(task, subtasks_completed, subtasks_total));
      if (progress_percentage === 100 && task.lease_token === null) await this.lifecycle.complete(tx, task, {});
    });
  }

  addDependency(id: string, dependency_id: string): Promise<TaskRow> {
    return this.unitOfWork.run(async (tx) => {
      await this.dependencies.add(tx, id, dependency_id);
      return this.store.get(id);
    });
  }

  removeDependency(id: string, dependency_id: string): Promise<TaskRow> {
    return this.unitOfWork.run(async (tx) => {
      await this.dependencies.remove(tx, id, dependency_id);
      return this.store.get(id);
    });
  }

  cancel(id: string): Promise<TaskRow> {
    return this.change(id, (tx, task) => this.lifecycle.requestCancel(tx, task));
  }

  retry(id: string): Promise<TaskRow> {
    return this.change(id, async (tx, task) => {
      if (!canPeopleMove(task.status, TaskStatus.Pending) || !hasEnded(task.status)) {
        throw new TaskMoveRefused(id, task.status, TaskStatus.Pending);
      }
      await this.lifecycle.reset(tx, task);
    });
  }

  async summarise(): Promise<TaskSummaryResponse> {
    type Row = { status: TaskStatus; count: number; urgent: number; progress: number };
    const rows = await this.database.query<Row>(
      `SELECT status, count(*)::int AS count, (count(*) FILTER (WHERE is_urgent))::int AS urgent,
              sum(progress_percentage) AS progress
       FROM tasks WHERE ${visibleIn('project_id', '$1')} GROUP BY status`,
      [projectScope()],
    );
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    const by_status = Object.fromEntries(
      Object.values(TaskStatus).map((status) => [status, rows.find((row) => row.status === status)?.count ?? 0]),
    ) as Record<TaskStatus, number>;
    const total = sum(rows.map(({ count }) => count));
    const ended = sum(rows.filter(({ status }) => hasEnded(status)).map(({ count }) => count));
    const round = (value: number) => Math.round(value * 100) / 100;
    return {
      total,
      by_status,
      urgent: sum(rows.filter(({ status }) => !hasEnded(status)).map(({ urgent }) => urgent)),
      avg_progress: total === 0 ? 0 : round(sum(rows.map(({ progress }) => progress)) / total),
      completion_rate: ended === 0 ? 0 : round((by_status.completed / ended) * 100),
    };
  }

  /** One of the moves that people may make. */
  async moveByHand(tx: Transaction, task: Task, to: TaskStatus, dto: Partial<UpdateTaskStatusDto> = {}): Promise<void> {
    if (!canPeopleMove(task.status, to)) throw new TaskMoveRefused(task.id, task.status, to);
    const { output, quality_score } = dto;
    if (to === TaskStatus.InProgress) return this.lifecycle.start(tx, task);
    if (to === TaskStatus.Completed) {
      return this.lifecycle.complete(tx, task, { output, quality_score: quality_score ?? undefined });
    }
    if (to === TaskStatus.Cancelled) return this.lifecycle.cancel(tx, task);
    if (to === TaskStatus.Pending) return this.lifecycle.reset(tx, task);
    return this.lifecycle.fail(tx, task, dto.error ?? { message: 'Marked as failed by hand' });
  }

  private async insert(tx: Transaction, task: Task, dependencies: readonly string[]): Promise<void> {
    if (task.workflow_id !== null) await this.store.lockWorkflow(task.workflow_id);
    const hopeless = await this.dependencies.prepare(tx, task, dependencies);
    await this.store.createMany(tx, [task]);
    await this.dependencies.link(tx, task.id, dependencies);
    if (hopeless) await this.dependencies.skipBecauseOf(tx, task, hopeless);
  }

  private change(id: string, work: (tx: Transaction, task: Task) => Promise<void>): Promise<TaskRow> {
    return this.unitOfWork.run(async (tx) => {
      const task = await this.store.lock(tx, id);
      const before = snapshot(task);
      await work(tx, task);
      tx.changed('task', id, changesSince(before, task, MOVED));
      return this.store.get(id);
    });
  }

  private async agentFilter(ref: string | undefined): Promise<string | undefined> {
    if (ref === undefined) return undefined;
    // An unknown key matches nothing, as an unknown id does.
    return (await this.agents.find(ref))?.id ?? '00000000-0000-0000-0000-000000000000';
  }

  private async unlessUnknownProject<T>(project_id: string | null, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (violatedConstraint(error) === 'fk_tasks__project_id') {
        throw new UnknownReference('project_id', project_id!, 'project');
      }
      throw error;
    }
  }
}
