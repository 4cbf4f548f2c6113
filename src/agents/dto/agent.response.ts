import { ApiProperty } from '@nestjs/swagger';
import { owns } from '../../platform/access/scope.js';
import {
  ShownFlag,
  ShownId,
  ShownIds,
  ShownNumber,
  ShownObject,
  ShownText,
  ShownTexts,
  ShownTime,
  ShownWhole,
} from '../../platform/http/response-fields.js';
import { AgentRunner, AgentStatus } from '../agent-status.js';
import type { Agent } from '../agent.entity.js';
import { successRate, uptimePercentage } from '../agent-metrics.js';

export class CurrentTaskResponse {
  @ShownId()
  id: string;

  @ShownText({ nullable: true })
  title: string | null;
}

export class PerformanceMetricsResponse {
  @ShownWhole()
  tasks_completed: number;

  @ShownWhole({ description: 'Tasks that failed for good in its hands' })
  tasks_failed: number;

  @ShownNumber({ description: '0-100: completed / (completed + failed) * 100, 0 when none' })
  success_rate: number;

  @ShownNumber({ description: 'Seconds from lease to completion, on average' })
  avg_response_time: number;

  @ShownNumber({ description: '0-100: time online since it was first seen' })
  uptime_percentage: number;

  @ShownNumber({ nullable: true, description: '0-10' })
  quality_score: number | null;

  @ShownNumber({ nullable: true, description: 'By how much the newest task moved the quality score' })
  improvement: number | null;

  @ShownNumber({ description: 'Of the newest task' })
  processing_time_ms: number;

  @ShownWhole({ description: 'Attempts that failed or whose lease ran out' })
  error_count: number;

  static from(agent: Agent): PerformanceMetricsResponse {
    const { tasks_completed, tasks_failed, avg_response_time, quality_score, improvement, processing_time_ms } = agent;
    return {
      tasks_completed,
      tasks_failed,
      success_rate: successRate(agent),
      avg_response_time,
      uptime_percentage: uptimePercentage(agent),
      quality_score,
      improvement,
      processing_time_ms,
      error_count: agent.error_count,
    };
  }
}

export class AgentResponse {
  @ShownId()
  id: string;

  @ShownText({ nullable: true })
  key: string | null;

  @ShownText()
  name: string;

  @ShownText()
  type: string;

  @ShownText({ description: 'The same as type' })
  agent_type: string;

  @ApiProperty({ enum: AgentStatus, enumName: 'AgentStatus' })
  status: AgentStatus;

  @ShownText({ nullable: true })
  description: string | null;

  @ApiProperty({ enum: AgentRunner, enumName: 'AgentRunner' })
  runner: AgentRunner;

  @ShownObject()
  configuration: Record<string, unknown>;

  @ShownText({ nullable: true })
  model: string | null;

  @ShownTexts()
  tools: string[];

  @ShownTexts()
  capabilities: string[];

  @ShownWhole()
  max_concurrent_tasks: number;

  @ShownId({ nullable: true })
  project_id: string | null;

  @ShownTexts()
  tags: string[];

  @ShownObject()
  metadata: Record<string, unknown>;

  @ShownFlag({ description: 'Not offline' })
  is_active: boolean;

  @ShownFlag({ description: 'Gets no new tasks' })
  is_draining: boolean;

  @ApiProperty({ type: CurrentTaskResponse, nullable: true, description: 'The newest task it holds' })
  current_task: CurrentTaskResponse | null;

  @ApiProperty({ type: PerformanceMetricsResponse })
  performance_metrics: PerformanceMetricsResponse;

  @ShownTime({ nullable: true })
  last_heartbeat: Date | null;

  @ShownTime({ nullable: true })
  last_activity: Date | null;

  @ShownTime()
  created_at: Date;

  @ShownTime()
  updated_at: Date;

  static from(agent: Agent): AgentResponse {
    const { id, key, name, type, status, description, runner, configuration, max_concurrent_tasks, project_id } = agent;
    const { tags, metadata, is_draining, current_task_id, current_task_title, last_heartbeat, last_activity } = agent;
    return {
      id,
      key,
      name,
      type,
      agent_type: type,
      status,
      description,
      runner,
      configuration,
      model: (configuration.model as string | null | undefined) ?? null,
      tools: (configuration.tools as string[] | undefined) ?? [],
      capabilities: (configuration.capabilities as string[] | undefined) ?? [],
      max_concurrent_tasks,
      project_id,
      tags,
      metadata,
      is_active: status !== AgentStatus.Offline,
      is_draining,
      // An agent of all projects may work on a task of any of them.
      current_task:
        current_task_id === null || !owns(agent) ? null : { id: current_task_id, title: current_task_title },
      performance_metrics: PerformanceMetricsResponse.from(agent),
      last_heartbeat,
      last_activity,
      created_at: agent.created_at,
      updated_at: agent.updated_at,
    };
  }
}

export class HeartbeatResponse {
  @ApiProperty({ enum: ['heartbeat_received'] })
  status: 'heartbeat_received';

  @ShownTime()
  timestamp: Date;

  @ShownIds({ description: 'Tasks that it should stop' })
  cancel_requested: string[];

  @ShownWhole({ description: 'For how long a lease lasts by default' })
  lease_seconds: number;
}

export class AgentSummaryResponse {
  @ShownWhole()
  total: number;

  @ApiProperty({ type: 'object', additionalProperties: { type: 'integer' }, description: 'Agents in each status' })
  by_status: Record<AgentStatus, number>;

  @ShownNumber({ description: 'Of the agents that have finished a task' })
  avg_success_rate: number;

  @ShownNumber({ description: 'Seconds' })
  avg_response_time: number;

  @ShownNumber()
  avg_uptime: number;
}
