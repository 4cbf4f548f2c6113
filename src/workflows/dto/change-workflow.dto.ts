import { ApiPropertyOptional, OmitType, PartialType } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsObject, ValidateNested } from 'class-validator';
import { AGENT_REF } from '../../agents/agent-ref.js';
import {
  ChoiceField,
  FlagField,
  ObjectField,
  PatternField,
  TextField,
  TextsField,
  TimeField,
} from '../../platform/http/fields.js';
import { Nullable } from '../../platform/http/optional.decorator.js';
import { WorkflowStatus } from '../workflow-state.js';
import { CreateWorkflowDto } from './create-workflow.dto.js';
import { DefinitionDto, type StepDto, StepsField } from './step.dto.js';

export class UpdateWorkflowDto extends PartialType(OmitType(CreateWorkflowDto, ['status', 'scheduled_at']), {
  skipNullProperties: false,
}) {}

export class UpdateWorkflowStatusDto {
  @ChoiceField(WorkflowStatus, 'WorkflowStatus', {
    description: 'paused, running and cancelled act on the live run; active and inactive on the workflow',
  })
  status: WorkflowStatus;
}

export class AssignWorkflowAgentDto {
  @PatternField(AGENT_REF, "agent_id must be an agent's id or key")
  agent_id: string;

  @TextField({ is: 'optional', min: 1, max: 255, description: "The agent's own name by default" })
  agent_name?: string;
}

export class ExecuteWorkflowDto {
  @ObjectField({ is: 'optional', description: "The run's input, over the workflow's parameters" })
  input?: Record<string, unknown>;

  @ObjectField({ is: 'optional', description: 'The same as input' })
  parameters?: Record<string, unknown>;

  @TimeField({ is: 'optional', description: 'Not before' })
  scheduled_at?: Date;

  @TextsField({
    is: 'optional',
    description: 'Ids or keys of agents: from now on only they do the tasks of the workflow',
  })
  assigned_agents?: string[];
}

export class ValidateWorkflowDto {
  @ApiPropertyOptional({
    type: DefinitionDto,
    nullable: true,
    description: 'The saved one when neither it nor steps are given',
  })
  @Nullable()
  @IsObject()
  @ValidateNested()
  @Type(() => DefinitionDto)
  definition?: DefinitionDto | null;

  @StepsField('optional')
  steps?: StepDto[];
}

export class RerunDto {
  @FlagField({
    is: 'optional',
    default: false,
    description: 'Keep what succeeded; repeat what failed and what follows',
  })
  from_failure?: boolean;
}
