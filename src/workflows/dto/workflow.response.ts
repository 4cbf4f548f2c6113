import { ApiProperty } from '@nestjs/swagger';
import {
  ShownFlag,
  ShownId,
  ShownNumber,
  ShownObject,
  ShownText,
  ShownTexts,
  ShownTime,
  ShownWhole,
} from '../../platform/http/response-fields.js';
import { ProblemField } from '../../platform/errors/problem-document.js';
import type { Definition } from '../definition.js';
import { StepStatus } from '../run-state.js';
import type { QualityMetrics, WorkflowRow } from '../workflow.entity.js';
import { WorkflowStatus } from '../workflow-state.js';
import { ScheduleResponse } from './schedule.dto.js';
import type { Schedule } from '../schedule.js';
import { RunResponse } from './run.response.js';
import { DefinitionDto } from './step.dto.js';

export class AssignedAgentResponse {
  @ShownId()
  id: string;

  @ShownText()
  name: string;
}

export class QualityMetricsResponse {
  @ShownNumber({ nullable: true, description: '0-100: completed of all ended tasks' })
  success_rate: number | null;

  @ShownNumber({ nullable: true, description: "0-100: the mean of the tasks' scores" })
  quality_score: number | null;

  @ShownNumber({ nullable: true, description: '0-100: the estimate in relation to the real duration' })
  efficiency_score: number | null;
}

export class WorkflowResponse {
  @ShownId()
  id: string;

  @ShownId({ nullable: true })
  project_id: string | null;

  @ShownText()
  name: string;

  @ShownText({ nullable: true })
  description: string | null;

  @ApiProperty({ enum: WorkflowStatus, enumName: 'WorkflowStatus' })
  status: WorkflowStatus;

  @ShownText({ nullable: true })
  workflow_type: string | null;

  @ShownObject()
  configuration: Record<string, unknown>;

  @ShownObject()
  parameters: Record<string, unknown>;

  @ApiProperty({ type: DefinitionDto, nullable: true })
  definition: Definition | null;

  @ApiProperty({ type: [AssignedAgentResponse], description: 'If any: only they may lease its tasks' })
  assigned_agents: AssignedAgentResponse[];

  @ShownTexts()
  tags: string[];

  @ShownObject()
  metadata: Record<string, unknown>;

  @ShownFlag()
  is_paused: boolean;

  @ShownFlag()
  is_template: boolean;

  @ShownFlag()
  requires_approval: boolean;

  @ShownNumber()
  progress_percentage: number;

  @ShownNumber({ description: 'The same as progress_percentage' })
  progress: number;

  @ShownWhole()
  total_tasks: number;

  @ShownWhole()
  completed_tasks: number;

  @ShownWhole()
  failed_tasks: number;

  @ShownNumber({ nullable: true })
  estimated_duration_hours: number | null;

  @ShownNumber({ nullable: true })
  actual_duration_hours: number | null;

  @ShownTime({ nullable: true })
  started_at: Date | null;

  @ShownTime({ nullable: true })
  completed_at: Date | null;

  @ShownTime({ nullable: true, description: 'When it runs next, or was to run the last time' })
  scheduled_at: Date | null;

  @ApiProperty({ type: ScheduleResponse, nullable: true })
  schedule: Schedule | null;

  @ApiProperty({ type: QualityMetricsResponse })
  quality_metrics: QualityMetrics;

  @ShownId({ nullable: true })
  latest_run_id: string | null;

  @ShownTime()
  created_at: Date;

  @ShownTime()
  updated_at: Date;

  static from(row: WorkflowRow): WorkflowResponse {
    const { id, project_id, name, description, status, workflow_type, configuration, parameters, definition } = row;
    const { tags, metadata, is_paused, is_template, requires_approval, progress_percentage, total_tasks } = row;
    const { completed_tasks, failed_tasks, estimated_duration_hours, actual_duration_hours, started_at } = row;
    const { completed_at, schedule, quality_metrics, latest_run_id, created_at, updated_at } = row;
    return {
      id,
      project_id,
      name,
      description,
      status,
      workflow_type,
      configuration,
      parameters,
      definition,
      assigned_agents: row.assigned_agents,
      tags,
      metadata,
      is_paused,
      is_template,
      requires_approval,
      progress_percentage,
      progress: progress_percentage,
      total_tasks,
      completed_tasks,
      failed_tasks,
      estimated_duration_hours,
      actual_duration_hours,
      started_at,
      completed_at,
      scheduled_at: row.next_tick_at ?? row.scheduled_at,
      schedule,
      quality_metrics,
      latest_run_id,
      created_at,
      updated_at,
    };
  }
}

export class ExecutedResponse {
  @ApiProperty({ type: RunResponse })
  run: RunResponse;

  @ApiProperty({ type: WorkflowResponse })
  workflow: WorkflowResponse;
}

export class ValidationResponse {
  @ShownFlag()
  valid: boolean;

  @ApiProperty({ type: [ProblemField] })
  errors: ProblemField[];

  @ApiProperty({
    type: 'array',
    items: { type: 'array', items: { type: 'string' } },
    description: 'Keys that may run together, in order',
  })
  order: string[][];
}

class NodeTasksResponse {
  @ShownWhole()
  total: number;

  @ShownWhole()
  completed: number;

  @ShownWhole()
  failed: number;
}

export class GraphNodeResponse {
  @ShownText()
  key: string;

  @ShownText()
  name: string;

  @ApiProperty({ enum: StepStatus, enumName: 'StepStatus' })
  status: StepStatus;

  @ApiProperty({ type: NodeTasksResponse })
  tasks: NodeTasksResponse;
}

export class GraphResponse {
  @ApiProperty({ type: [GraphNodeResponse] })
  nodes: GraphNodeResponse[];

  @ApiProperty({ type: 'array', items: { type: 'array', items: { type: 'string' } }, description: '[from, to] keys' })
  edges: [string, string][];
}

export class WorkflowSummaryResponse {
  @ShownWhole()
  total: number;

  @ApiProperty({ type: 'object', additionalProperties: { type: 'integer' }, description: 'Workflows in each status' })
  by_status: Record<WorkflowStatus, number>;

  @ShownWhole()
  live_runs: number;

  @ShownNumber({ description: '0-100' })
  avg_progress: number;

  @ShownNumber({ description: '0-100: completed of all runs that are over' })
  run_success_rate: number;
}
