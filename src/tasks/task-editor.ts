import { Injectable } from '@nestjs/common';
import { AgentsService } from '../agents/agents.service.js';
import { assertStays } from '../platform/access/scope.js';
import { changesSince, snapshot } from '../platform/context/request-trace.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { inField, InvalidInput, UnknownReference } from '../platform/errors/common.errors.js';
import { ProjectsService } from '../projects/projects.service.js';
import type { AssignTaskDto } from './dto/change-task.dto.js';
import type { UpdateTaskDto } from './dto/update-task.dto.js';
import { agentIn, changesOf, columnsOf, subtasksOf, titleOf } from './new-task.js';
import type { Task } from './task.entity.js';
import type { TaskRow } from './task.sql.js';
import { TaskStatus } from './task-state.js';
import { TaskStore } from './task-store.js';
import { TaskInProgress } from './tasks.errors.js';
import { TaskAssigned, TasksBulkUpdated, TaskUpdated } from './tasks.events.js';

/** Who is to do it (null: anyone), and under which of its names the body says so. */
interface ChosenAgent {
  field: string;
  id: string | null;
}

type Move = (tx: Transaction, task: Task, to: TaskStatus) => Promise<void>;

/** Changes what a task says, and for whom it is; not how far it is. */
@Injectable()
export class TaskEditor {
  constructor(
    private readonly unitOfWork: UnitOfWork,
    private readonly store: TaskStore,
    private readonly agents: AgentsService,
    private readonly projects: ProjectsService,
  ) {}

  async update(id: string, dto: UpdateTaskDto): Promise<TaskRow> {
    if (Object.keys(dto).length === 0) return this.store.get(id);
    const agent = await this.resolveReferences(dto);
    return this.unitOfWork.run(async (tx) => {
      await this.edit(tx, [await this.store.lock(tx, id)], dto, agent);
      return this.store.get(id);
    });
  }

  /** All or nothing. */
  async updateMany(
    ids: readonly string[],
    dto: UpdateTaskDto & { status?: TaskStatus },
    move: Move,
  ): Promise<TaskRow[]> {
    const { status, ...fields } = dto;
    const agent = await inField('updates', () => this.resolveReferences(fields));
    const unique = [...new Set(ids)];
    return this.unitOfWork.run(async (tx) => {
      const tasks = await this.store.lockOwn(tx, unique);
      const known = new Set(tasks.map(({ id }) => id));
      const unknown = ids.findIndex((id) => !known.has(id));
      if (unknown >= 0) throw new UnknownReference(`task_ids/${unknown}`, ids[unknown]!, 'task');
      if (Object.keys(fields).length > 0) await inField('updates', () => this.edit(tx, tasks, fields, agent));
      if (status !== undefined) {
        for (const task of tasks) if (task.status !== status) await move(tx, task, status);
      }
      const changes = changesOf(dto);
      for (const [project_id, theirs] of byProject(tasks, unique)) {
        tx.record(new TasksBulkUpdated(theirs, project_id, changes));
      }
      return this.store.getAll(unique);
    });
  }

  async assign(id: string, dto: AssignTaskDto): Promise<TaskRow> {
    const agent = await this.resolveAgent(dto);
    if (agent === undefined) throw new InvalidInput([{ pointer: '/assigned_agent_id', detail: 'is required' }]);
    return this.unitOfWork.run(async (tx) => {
      await this.setAgent(tx, [await this.store.lock(tx, id)], agent);
      return this.store.get(id);
    });
  }

  /** The agent that the body means by an id or key; undefined when it does not say. */
  async resolveAgent(dto: AssignTaskDto): Promise<ChosenAgent | undefined> {
    const { field, ref } = agentIn(dto);
    if (ref === undefined) return undefined;
    if (ref === null) return { field, id: null };
    const agent = await this.agents.find(ref);
    if (!agent) throw new UnknownReference(field, ref, 'agent');
    return { field, id: agent.id };
  }

  private async resolveReferences(dto: UpdateTaskDto): Promise<ChosenAgent | undefined> {
    assertStays(dto.project_id);
    await this.projects.assertExists(dto.project_id);
    return this.resolveAgent(dto);
  }

  private async edit(
    tx: Transaction,
    tasks: readonly Task[],
    dto: UpdateTaskDto,
    agent: ChosenAgent | undefined,
  ): Promise<void> {
    const title = titleOf(dto);
    for (const task of tasks) subtasksOf(dto, task);
    await this.assertSameDependencies(tasks, dto.dependencies);
    const before = tasks.map(snapshot);
    const columns: Partial<Task> = { ...columnsOf(dto), ...(title !== undefined && { title }) };
    await this.store.saveAll(tx, tasks, columns);
    if (dto.retry) {
      for (const task of tasks) await this.store.save(tx, task, { retry: Object.assign({}, task.retry, dto.retry) });
    }
    if (dto.scheduled_at !== undefined) {
      await this.store.makeReady(tasks.filter(({ status }) => status === TaskStatus.Pending));
    }
    const fields = [...Object.keys(columns), 'retry'];
    for (const [index, task] of tasks.entries()) {
      tx.record(new TaskUpdated(task, changesOf(dto)));
      tx.changed('task', task.id, changesSince(before[index]!, task, fields));
    }
    if (agent) await this.setAgent(tx, tasks, agent);
  }

  /** A client may send back a task as it got it. */
  private async assertSameDependencies(tasks: readonly Task[], ids: readonly string[] | undefined): Promise<void> {
    if (!ids) return;
    const given = new Set(ids);
    for (const { dependencies } of await this.store.getAll(tasks.map(({ id }) => id))) {
      if (dependencies.length === given.size && dependencies.every((id) => given.has(id))) continue;
      throw new InvalidInput([
        { pointer: '/dependencies', detail: 'are changed by POST and DELETE /tasks/{id}/dependencies, not here' },
      ]);
    }
  }

  private async setAgent(tx: Transaction, tasks: readonly Task[], agent: ChosenAgent): Promise<void> {
    const chosen = { assigned_agent_id: agent.id, assignment_is_fixed: agent.id !== null };
    const changed = tasks.filter(
      (task) =>
        task.assigned_agent_id !== chosen.assigned_agent_id || task.assignment_is_fixed !== chosen.assignment_is_fixed,
    );
    for (const { id, status, lease_token } of changed) {
      if (lease_token !== null) throw new TaskInProgress(id, 'given to another agent');
      if (status === TaskStatus.Completed) {
        throw new InvalidInput([{ pointer: `/${agent.field}`, detail: 'cannot change once the task is completed' }]);
      }
    }
    const previous = changed.map(({ assigned_agent_id }) => assigned_agent_id);
    await this.store.saveAll(tx, changed, chosen);
    changed.forEach((task, index) => {
      tx.record(new TaskAssigned(task, previous[index]!));
      const assigned_agent_id = { before: previous[index]!, after: agent.id };
      tx.changed('task', task.id, { assigned_agent_id });
    });
  }
}

/** The ids in their order, one list for each project: what is told of one is not for the others. */
function byProject(tasks: readonly Task[], ids: readonly string[]): Map<string | null, string[]> {
  const projects = new Map(tasks.map(({ id, project_id }) => [id, project_id]));
  const lists = new Map<string | null, string[]>();
  for (const id of ids) {
    const project_id = projects.get(id) ?? null;
    const list = lists.get(project_id);
    if (list) list.push(id);
    else lists.set(project_id, [id]);
  }
  return lists;
}
