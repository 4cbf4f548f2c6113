import { newId } from '../platform/database/new-id.js';
import { InvalidInput } from '../platform/errors/common.errors.js';
import type { AssignTaskDto } from './dto/change-task.dto.js';
import type { UpdateTaskDto } from './dto/update-task.dto.js';
import { DEFAULT_RETRY } from './retry-policy.js';
import { Task } from './task.entity.js';
import { TaskPriority, TaskStatus } from './task-state.js';

/** A task as it begins, before it is inserted; the database adds the times. */
export function newTask(fields: Partial<Task> & { title: string }): Task {
  const defaults: Partial<Task> = {
    id: newId(),
    project_id: null,
    workflow_id: null,
    run_id: null,
    step_key: null,
    item_index: null,
    description: null,
    instructions: null,
    task_type: null,
    status: TaskStatus.Pending,
    priority: TaskPriority.Medium,
    agent_type: null,
    assigned_agent_id: null,
    allowed_agent_ids: null,
    required_capabilities: [],
    input: {},
    output: null,
    error: null,
    tags: [],
    metadata: {},
    unmet_dependencies: 0,
    has_dependents: false,
    is_held: false,
    concurrency_key: null,
    concurrency_limit: null,
    attempt: 0,
    max_attempts: 3,
    timeout_seconds: null,
    ready_at: null,
    scheduled_at: null,
    progress_percentage: 0,
    subtasks_completed: 0,
    subtasks_total: 0,
    estimated_duration_minutes: null,
    actual_duration_minutes: null,
    quality_score: null,
    complexity_score: null,
    effort_points: null,
    due_date: null,
    is_urgent: false,
    requires_review: false,
    lease_token: null,
    lease_expires_at: null,
    ended_lease_token: null,
    deadline_at: null,
    cancel_requested: false,
    created_by: null,
    started_at: null,
    completed_at: null,
  };
  const task = Object.assign(new Task(), defaults, fields);
  task.retry = { ...DEFAULT_RETRY, ...fields.retry };
  task.assignment_is_fixed = task.assigned_agent_id !== null;
  return task;
}

/** The title, under either of its names. */
export function titleOf({ title, name }: { title?: string; name?: string }): string | undefined {
  if (title !== undefined && name !== undefined && title !== name) {
    throw new InvalidInput([{ pointer: '/name', detail: 'differs from title, but both name the same field' }]);
  }
  return title ?? name;
}

/** The agent, under either of its names, and the name that was used; null clears it. */
export function agentIn({ assigned_agent_id, agent_id }: AssignTaskDto) {
  if (assigned_agent_id !== undefined && agent_id !== undefined && assigned_agent_id !== agent_id) {
    throw new InvalidInput([
      { pointer: '/agent_id', detail: 'differs from assigned_agent_id, but both name the same field' },
    ]);
  }
  return assigned_agent_id === undefined
    ? { field: 'agent_id', ref: agent_id }
    : { field: 'assigned_agent_id', ref: assigned_agent_id };
}

/** The fields of the body that are columns of the same name. */
export function columnsOf(dto: UpdateTaskDto): Partial<Task> {
  const { title: _title, name: _name, assigned_agent_id: _assigned, agent_id: _agent, retry: _retry, ...rest } = dto;
  const { dependencies: _dependencies, ...columns } = rest;
  return columns;
}

/** What an event tells of a change: what may be large by name only. */
export function changesOf({ dependencies: _same, ...dto }: UpdateTaskDto): Record<string, unknown> {
  const large = ['description', 'instructions', 'input', 'metadata'];
  const told = (name: string, value: unknown) => (value !== null && large.includes(name) ? true : value);
  return Object.fromEntries(Object.entries(dto).map(([name, value]) => [name, told(name, value)]));
}

/** How many subtasks there are, and are done, after the body: completed <= total. */
export function subtasksOf(
  dto: Pick<UpdateTaskDto, 'subtasks_completed' | 'subtasks_total'>,
  current: Pick<Task, 'subtasks_completed' | 'subtasks_total'> = { subtasks_completed: 0, subtasks_total: 0 },
): Pick<Task, 'subtasks_completed' | 'subtasks_total'> {
  const { subtasks_completed = current.subtasks_completed, subtasks_total = current.subtasks_total } = dto;
  if (subtasks_completed <= subtasks_total) return { subtasks_completed, subtasks_total };
  throw new InvalidInput([
    dto.subtasks_completed === undefined
      ? {
          pointer: '/subtasks_total',
          detail: `must not be less than subtasks_completed (${subtasks_total} < ${subtasks_completed})`,
        }
      : {
          pointer: '/subtasks_completed',
          detail: `must not be more than subtasks_total (${subtasks_completed} > ${subtasks_total})`,
        },
  ]);
}
