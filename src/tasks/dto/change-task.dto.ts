import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { ArrayMinSize, IsObject, ValidateNested } from 'class-validator';
import { AGENT_REF } from '../../agents/agent-ref.js';
import { ChoiceField, IdField, IdsField, NumberField, PatternField, WholeField } from '../../platform/http/fields.js';
import { FailureField, OutputField } from './task-fields.js';
import type { TaskFailure } from '../task.entity.js';
import { TaskStatus } from '../task-state.js';
import { UpdateTaskDto } from './update-task.dto.js';

const MOST = 2_147_483_647;

export class UpdateTaskStatusDto {
  @ChoiceField(TaskStatus, 'TaskStatus')
  status: TaskStatus;

  @NumberField({ is: 'optional', min: 0, max: 100 })
  progress_percentage?: number;

  @NumberField({ is: 'nullable', min: 0, max: 100 })
  quality_score?: number | null;

  @OutputField()
  output?: unknown;

  @FailureField('optional')
  error?: TaskFailure;
}

export class UpdateTaskProgressDto {
  @NumberField({ min: 0, max: 100, description: '100 completes a task that nobody leases' })
  progress_percentage: number;

  @WholeField({ is: 'optional', min: 0, max: MOST })
  subtasks_completed?: number;

  @WholeField({ is: 'optional', min: 0, max: MOST })
  subtasks_total?: number;
}

export class AssignTaskDto {
  @PatternField(AGENT_REF, "assigned_agent_id must be an agent's id or key, or null", {
    is: 'nullable',
    description: "Required: an agent's id or key; null: anyone",
  })
  assigned_agent_id?: string | null;

  @PatternField(AGENT_REF, "agent_id must be an agent's id or key, or null", {
    is: 'nullable',
    description: 'The same as assigned_agent_id',
  })
  agent_id?: string | null;
}

export class AddDependencyDto {
  @IdField()
  dependency_id: string;
}

export class BulkUpdates extends UpdateTaskDto {
  @ChoiceField(TaskStatus, 'TaskStatus', { is: 'optional' })
  status?: TaskStatus;
}

export class BulkUpdateTasksDto {
  @IdsField({ max: 1000, min: 1 })
  @ArrayMinSize(1)
  task_ids: string[];

  @ApiProperty({ type: BulkUpdates })
  @IsObject()
  @ValidateNested()
  @Type(() => BulkUpdates)
  updates: BulkUpdates;
}
