import { ApiProperty } from '@nestjs/swagger';
import { ProblemDocument } from '../../platform/errors/problem-document.js';
import {
  ShownFlag,
  ShownId,
  ShownIds,
  ShownJson,
  ShownNumber,
  ShownObject,
  ShownText,
  ShownTexts,
  ShownTime,
  ShownWhole,
} from '../../platform/http/response-fields.js';
import type { RetryPolicy } from '../retry-policy.js';
import type { TaskFailure } from '../task.entity.js';
import type { TaskRow } from '../task.sql.js';
import { TaskPriority, TaskStatus } from '../task-state.js';
import { RetryPolicyDto } from './create-task.dto.js';
import { TaskFailureDto } from './task-fields.js';

export class AgentNameResponse {
  @ShownId()
  id: string;

  @ShownText({ nullable: true, description: 'null: the agent was deleted' })
  name: string | null;
}

export class TimeTrackingResponse {
  @ShownNumber({ nullable: true })
  estimated_duration_minutes: number | null;

  @ShownNumber({ nullable: true })
  actual_duration_minutes: number | null;

  @ShownTime({ nullable: true })
  started_at: Date | null;

  @ShownTime({ nullable: true })
  completed_at: Date | null;
}

export class TaskResponse {
  @ShownId()
  id: string;

  @ShownId({ nullable: true })
  project_id: string | null;

  @ShownId({ nullable: true })
  workflow_id: string | null;

  @ShownId({ nullable: true })
  run_id: string | null;

  @ShownText({ nullable: true })
  step_key: string | null;

  @ShownWhole({ nullable: true, description: "Which item of its step's for_each" })
  item_index: number | null;

  @ShownText()
  title: string;

  @ShownText({ description: 'The same as title' })
  name: string;

  @ShownText({ nullable: true })
  description: string | null;

  @ShownText({ nullable: true })
  instructions: string | null;

  @ShownText({ nullable: true })
  task_type: string | null;

  @ApiProperty({ enum: TaskStatus, enumName: 'TaskStatus' })
  status: TaskStatus;

  @ApiProperty({ enum: TaskPriority, enumName: 'TaskPriority' })
  priority: TaskPriority;

  @ShownText({ nullable: true })
  agent_type: string | null;

  @ShownId({ nullable: true, description: 'Who has it, had it last, or alone may have it' })
  assigned_agent_id: string | null;

  @ApiProperty({ type: AgentNameResponse, nullable: true })
  assigned_agent: AgentNameResponse | null;

  @ShownTexts()
  required_capabilities: string[];

  @ShownObject()
  input: Record<string, unknown>;

  @ShownJson({ description: 'What the agent gave' })
  output: unknown;

  @ApiProperty({ type: TaskFailureDto, nullable: true })
  error: TaskFailure | null;

  @ShownTexts()
  tags: string[];

  @ShownObject()
  metadata: Record<string, unknown>;

  @ShownIds({ description: 'Tasks that it waits for' })
  dependencies: string[];

  @ShownIds({ description: 'Tasks that wait for it' })
  dependents: string[];

  @ShownWhole()
  attempt: number;

  @ShownWhole()
  max_attempts: number;

  @ApiProperty({ type: RetryPolicyDto })
  retry: RetryPolicy;

  @ShownWhole({ nullable: true })
  timeout_seconds: number | null;

  @ShownTime({ nullable: true, description: 'From then on it may be leased; null while it may not' })
  ready_at: Date | null;

  @ShownTime({ nullable: true })
  scheduled_at: Date | null;

  @ShownNumber()
  progress_percentage: number;

  @ShownNumber({ description: 'The same as progress_percentage' })
  progress: number;

  @ShownWhole()
  subtasks_completed: number;

  @ShownWhole()
  subtasks_total: number;

  @ApiProperty({ type: TimeTrackingResponse })
  time_tracking: TimeTrackingResponse;

  @ShownNumber({ nullable: true })
  quality_score: number | null;

  @ShownNumber({ nullable: true })
  complexity_score: number | null;

  @ShownNumber({ nullable: true })
  effort_points: number | null;

  @ShownTime({ nullable: true })
  due_date: Date | null;

  @ShownFlag({ description: 'Waits for dependencies' })
  is_blocked: boolean;

  @ShownFlag()
  is_urgent: boolean;

  @ShownFlag()
  requires_review: boolean;

  @ShownFlag({ description: 'The agent is asked to stop' })
  cancel_requested: boolean;

  @ShownText({ nullable: true })
  created_by: string | null;

  @ShownTime({ nullable: true })
  started_at: Date | null;

  @ShownTime({ nullable: true })
  completed_at: Date | null;

  @ShownTime()
  created_at: Date;

  @ShownTime()
  updated_at: Date;

  static from(task: TaskRow): TaskResponse {
    const { assigned_agent_id, assigned_agent_name, started_at, completed_at, progress_percentage } = task;
    const { estimated_duration_minutes, actual_duration_minutes } = task;
    return {
      id: task.id,
      project_id: task.project_id,
      workflow_id: task.workflow_id,
      run_id: task.run_id,
      step_key: task.step_key,
      item_index: task.item_index,
      title: task.title,
      name: task.title,
      description: task.description,
      instructions: task.instructions,
      task_type: task.task_type,
      status: task.status,
      priority: task.priority,
      agent_type: task.agent_type,
      assigned_agent_id,
      assigned_agent: assigned_agent_id === null ? null : { id: assigned_agent_id, name: assigned_agent_name },
      required_capabilities: task.required_capabilities,
      input: task.input,
      output: task.output,
      error: task.error,
      tags: task.tags,
      metadata: task.metadata,
      dependencies: task.dependencies,
      dependents: task.dependents,
      attempt: task.attempt,
      max_attempts: task.max_attempts,
      retry: task.retry,
      timeout_seconds: task.timeout_seconds,
      ready_at: task.ready_at,
      scheduled_at: task.scheduled_at,
      progress_percentage,
      progress: progress_percentage,
      subtasks_completed: task.subtasks_completed,
      subtasks_total: task.subtasks_total,
      time_tracking: { estimated_duration_minutes, actual_duration_minutes, started_at, completed_at },
      quality_score: task.quality_score,
      complexity_score: task.complexity_score,
      effort_points: task.effort_points,
      due_date: task.due_date,
      is_blocked: task.status === TaskStatus.Blocked,
      is_urgent: task.is_urgent,
      requires_review: task.requires_review,
      cancel_requested: task.cancel_requested,
      created_by: task.created_by,
      started_at,
      completed_at,
      created_at: task.created_at,
      updated_at: task.updated_at,
    };
  }
}

export class LeaseResponse {
  @ShownId({ description: 'Proves the right to work on the task' })
  token: string;

  @ShownTime()
  expires_at: Date;

  @ShownWhole()
  attempt: number;
}

export class LeasedTaskResponse {
  @ApiProperty({ type: TaskResponse })
  task: TaskResponse;

  @ApiProperty({ type: LeaseResponse })
  lease: LeaseResponse;
}

/** What became of one result of several. */
export class TaskResultResponse {
  @ShownId()
  task_id: string;

  @ShownFlag()
  is_completed: boolean;

  @ApiProperty({ type: ProblemDocument, nullable: true, description: 'Why it is not' })
  problem: ProblemDocument | null;
}

export class LeaseRenewedResponse {
  @ShownTime()
  expires_at: Date;

  @ShownFlag({ description: 'The agent should stop and fail or release the task' })
  cancel_requested: boolean;
}

export class BulkUpdatedResponse {
  @ShownWhole()
  updated: number;

  @ApiProperty({ type: [TaskResponse] })
  tasks: TaskResponse[];
}

export class TaskSummaryResponse {
  @ShownWhole()
  total: number;

  @ApiProperty({ type: 'object', additionalProperties: { type: 'integer' }, description: 'Tasks in each status' })
  by_status: Record<TaskStatus, number>;

  @ShownWhole({ description: 'Urgent tasks that have not ended' })
  urgent: number;

  @ShownNumber({ description: '0-100' })
  avg_progress: number;

  @ShownNumber({ description: '0-100: completed of all that have ended' })
  completion_rate: number;
}
