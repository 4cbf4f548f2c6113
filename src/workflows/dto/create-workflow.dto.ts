import { ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsObject, ValidateNested } from 'class-validator';
import {
  FlagField,
  IdField,
  NameField,
  NumberField,
  ObjectField,
  SetElsewhere,
  TextField,
  TextsField,
} from '../../platform/http/fields.js';
import { Nullable } from '../../platform/http/optional.decorator.js';
import { ScheduleDto } from './schedule.dto.js';
import { WorkflowStatus } from '../workflow-state.js';
import { DefinitionDto, type StepDto, StepsField } from './step.dto.js';

export class CreateWorkflowDto {
  @NameField({ max: 255, example: 'Code review' })
  name: string;

  @TextField({ is: 'nullable', max: 100_000 })
  description?: string | null;

  @IdField({ is: 'nullable' })
  project_id?: string | null;

  @TextField({ is: 'nullable', min: 1, max: 100 })
  workflow_type?: string | null;

  @ObjectField({ is: 'optional' })
  configuration?: Record<string, unknown>;

  @ObjectField({ is: 'optional', description: "Defaults for a run's input" })
  parameters?: Record<string, unknown>;

  @ApiPropertyOptional({
    type: DefinitionDto,
    nullable: true,
    description: 'null: the workflow is a container of tasks, and runs them',
  })
  @Nullable()
  @IsObject()
  @ValidateNested()
  @Type(() => DefinitionDto)
  definition?: DefinitionDto | null;

  @StepsField('optional')
  steps?: StepDto[];

  @ApiPropertyOptional({ type: ScheduleDto, nullable: true, description: 'When it runs by itself; null: never' })
  @Nullable()
  @IsObject()
  @ValidateNested()
  @Type(() => ScheduleDto)
  schedule?: ScheduleDto | null;

  @TextsField({ is: 'optional' })
  tags?: string[];

  @ObjectField({ is: 'optional' })
  metadata?: Record<string, unknown>;

  @FlagField({ is: 'optional', default: false })
  is_template?: boolean;

  @FlagField({ is: 'optional', default: false })
  requires_approval?: boolean;

  @NumberField({ is: 'nullable', min: 0, max: 1e6 })
  estimated_duration_hours?: number | null;

  @SetElsewhere(WorkflowStatus.Pending, 'is pending at first; PATCH /workflows/{id}/status changes it')
  status?: WorkflowStatus;

  @SetElsewhere(null, 'is a matter of a run: POST /workflows/{id}/execute takes it')
  scheduled_at?: null;
}
