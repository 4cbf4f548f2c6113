import { Injectable } from '@nestjs/common';
import { AgentsService } from '../agents/agents.service.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { InvalidInput, UnknownReference } from '../platform/errors/common.errors.js';
import { ProjectsService } from '../projects/projects.service.js';
import type { AssignTaskDto } from './dto/change-task.dto.js';
import type { UpdateTaskDto } from './dto/update-task.dto.js';
import { agentOf, assertSubtasks, changesOf, columnsOf, titleOf } from './new-task.js';
import type { Task } from './task.entity.js';
import type { TaskRow } from './task.sql.js';
import { TaskStatus } from './task-state.js';
import { TaskStore } from './task-store.js';
import { TaskInProgress } from './tasks.errors.js';
import { TaskAssigned, TasksBulkUpdated, TaskUpdated } from './tasks.events.js';

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
    const agent = await this.resolveReferences(fields);
    const unique = [...new Set(ids)];
    return this.unitOfWork.run(async (tx) => {
      const tasks = await this.store.lockAll(tx, unique);
      const known = new Set(tasks.map(({ id }) => id));
      const unknown = ids.findIndex((id) => !known.has(id));
      if (unknown >= 0) throw new UnknownReference(`task_ids/${unknown}`, ids[unknown]!, 'task');
      if (Object.keys(fields).length > 0) await this.edit(tx, tasks, fields, agent);
      if (status !== undefined) {
        for (const task of tasks) if (task.status !== status) await move(tx, task, status);
      }
      tx.record(new TasksBulkUpdated(unique, changesOf(dto)));
      return this.store.getAll(unique);
    });
  }

  async assign(id: string, dto: AssignTaskDto): Promise<TaskRow> {
    const agent = await this.resolveAgent(agentOf(dto));
    if (agent === undefined) throw new InvalidInput([{ pointer: '/assigned_agent_id', detail: 'is required' }]);
    return this.unitOfWork.run(async (tx) => {
      await this.setAgent(tx, [await this.store.lock(tx, id)], agent);
      return this.store.get(id);
    });
  }

  /** The id of the agent that is meant by an id or key. */
  async resolveAgent(ref: string | null | undefined): Promise<string | null | undefined> {
    if (ref === null || ref === undefined) return ref;
    const agent = await this.agents.find(ref);
    if (!agent) throw new UnknownReference('assigned_agent_id', ref, 'agent');
    return agent.id;
  }

  private async resolveReferences(dto: UpdateTaskDto): Promise<string | null | undefined> {
    await this.projects.assertExists(dto.project_id);
    return this.resolveAgent(agentOf(dto));
  }

  private async edit(
    tx: Transaction,
    tasks: readonly Task[],
    dto: UpdateTaskDto,
    agent: string | null | undefined,
  ): Promise<void> {
    const title = titleOf(dto);
    for (const task of tasks) assertSubtasks(task.subtasks_completed, dto.subtasks_total ?? task.subtasks_total);
    await this.store.saveAll(tx, tasks, { ...columnsOf(dto), ...(title !== undefined && { title }) });
    if (dto.retry) {
      for (const task of tasks) await this.store.save(tx, task, { retry: Object.assign({}, task.retry, dto.retry) });
    }
    if (dto.scheduled_at !== undefined) {
      await this.store.makeReady(tasks.filter(({ status }) => status === TaskStatus.Pending));
    }
    for (const task of tasks) tx.record(new TaskUpdated(task, changesOf(dto)));
    if (agent !== undefined) await this.setAgent(tx, tasks, agent);
  }

  private async setAgent(tx: Transaction, tasks: readonly Task[], agent: string | null): Promise<void> {
    const changed = tasks.filter(
      (task) => task.assigned_agent_id !== agent || task.assignment_is_fixed !== (agent !== null),
    );
    for (const { id, status, lease_token } of changed) {
      if (lease_token !== null) throw new TaskInProgress(id, 'given to another agent');
      if (status === TaskStatus.Completed) {
        throw new InvalidInput([{ pointer: '/assigned_agent_id', detail: 'cannot change once the task is completed' }]);
      }
    }
    const previous = changed.map(({ assigned_agent_id }) => assigned_agent_id);
    await this.store.saveAll(tx, changed, { assigned_agent_id: agent, assignment_is_fixed: agent !== null });
    changed.forEach((task, index) => tx.record(new TaskAssigned(task, previous[index]!)));
  }
}
