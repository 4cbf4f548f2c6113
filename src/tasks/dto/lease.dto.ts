import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { ArrayMaxSize, ArrayMinSize, IsArray, ValidateNested } from 'class-validator';
import { AGENT_REF } from '../../agents/agent-ref.js';
import { DEFAULT_LEASE_SECONDS } from '../../agents/lease-seconds.js';
import { FlagField, IdField, NumberField, ObjectField, PatternField, WholeField } from '../../platform/http/fields.js';
import type { TaskFailure } from '../task.entity.js';
import { FailureField, OutputField } from './task-fields.js';

export class LeaseTasksDto {
  @PatternField(AGENT_REF, "agent_id must be an agent's id or key", { description: "The agent's id or key" })
  agent_id: string;

  @WholeField({ is: 'optional', min: 1, max: 100, default: 1 })
  max_tasks?: number;

  @NumberField({ is: 'optional', min: 0, max: 30, default: 0, description: 'How long to wait for a task' })
  wait_seconds?: number;

  @WholeField({
    is: 'optional',
    min: 5,
    max: 3600,
    default: DEFAULT_LEASE_SECONDS,
    description: 'Renew it by heartbeats; an agent that cannot asks for longer',
  })
  lease_seconds?: number;
}

class LeaseTokenDto {
  @IdField({ description: 'The token that came with the task' })
  lease_token: string;
}

export class LeaseHeartbeatDto extends LeaseTokenDto {
  @NumberField({ is: 'optional', min: 0, max: 100 })
  progress_percentage?: number;

  @WholeField({ is: 'optional', min: 5, max: 3600, default: DEFAULT_LEASE_SECONDS })
  lease_seconds?: number;
}

export class CompleteTaskDto extends LeaseTokenDto {
  @OutputField()
  output?: unknown;

  @NumberField({ is: 'nullable', min: 0, max: 100 })
  quality_score?: number | null;

  @ObjectField({
    is: 'optional',
    description: 'tokens_in and tokens_out (whole numbers), cost_usd (a number), and whatever else was measured',
  })
  metrics?: Record<string, unknown>;
}

export class TaskResultDto extends CompleteTaskDto {
  @IdField()
  task_id: string;
}

export class CompleteTasksDto {
  @ApiProperty({ type: [TaskResultDto], minItems: 1, maxItems: 100 })
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(100)
  @ValidateNested({ each: true })
  @Type(() => TaskResultDto)
  results: TaskResultDto[];
}

export class FailTaskDto extends LeaseTokenDto {
  @FailureField('required')
  error: TaskFailure;

  @FlagField({ is: 'optional', default: true })
  retryable?: boolean;
}

export class ReleaseTaskDto extends LeaseTokenDto {}
