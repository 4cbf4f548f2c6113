import { ApiPropertyOptional } from '@nestjs/swagger';
import { Transform, Type } from 'class-transformer';
import { IsObject, ValidateNested } from 'class-validator';
import { AGENT_REF } from '../../agents/agent-ref.js';
import {
  ChoiceField,
  FlagField,
  IdField,
  IdsField,
  NameField,
  NumberField,
  ObjectField,
  PatternField,
  PositiveField,
  TextField,
  TextsField,
  TimeField,
  WholeField,
} from '../../platform/http/fields.js';
import { Optional } from '../../platform/http/optional.decorator.js';
import { PRIORITY_ALIASES, TaskPriority } from '../task-state.js';

const MOST = 2_147_483_647;

export class RetryPolicyDto {
  @NumberField({ is: 'optional', min: 0, max: 86_400, default: 1 })
  backoff_seconds?: number;

  @NumberField({ is: 'optional', min: 1, max: 100, default: 2, description: 'Multiplies the wait after each attempt' })
  factor?: number;

  @NumberField({ is: 'optional', min: 0, max: 86_400, default: 300 })
  max_seconds?: number;

  @FlagField({ is: 'optional', default: true, description: 'Waits between half and all of it, by chance' })
  jitter?: boolean;
}

export class CreateTaskDto {
  @NameField({
    is: 'optional',
    max: 500,
    description: 'title or name is required',
    example: 'Summarise the notes',
  })
  title?: string;

  @NameField({ is: 'optional', max: 500, description: 'The same as title' })
  name?: string;

  @TextField({ is: 'nullable', max: 100_000 })
  description?: string | null;

  @TextField({ is: 'nullable', max: 100_000 })
  instructions?: string | null;

  @TextField({ is: 'nullable', min: 1, max: 100 })
  task_type?: string | null;

  @Transform(({ value }) => (typeof value === 'string' ? (PRIORITY_ALIASES[value] ?? value) : (value as unknown)))
  @ChoiceField(TaskPriority, 'TaskPriority', {
    is: 'optional',
    default: TaskPriority.Medium,
    description: 'normal and urgent are accepted as medium and critical',
  })
  priority?: TaskPriority;

  @TextField({ is: 'nullable', min: 1, max: 100, description: 'Any agent of this type may do it' })
  agent_type?: string | null;

  @PatternField(AGENT_REF, "assigned_agent_id must be an agent's id or key", {
    is: 'nullable',
    description: "Only this agent may do it: an agent's id or key",
  })
  assigned_agent_id?: string | null;

  @PatternField(AGENT_REF, "agent_id must be an agent's id or key", {
    is: 'nullable',
    description: 'The same as assigned_agent_id',
  })
  agent_id?: string | null;

  @TextsField({ is: 'optional', description: 'The agent must have all of them' })
  required_capabilities?: string[];

  @ObjectField({ is: 'optional' })
  input?: Record<string, unknown>;

  @TextsField({ is: 'optional' })
  tags?: string[];

  @ObjectField({ is: 'optional' })
  metadata?: Record<string, unknown>;

  @IdField({ is: 'nullable' })
  project_id?: string | null;

  @IdField({ is: 'nullable', description: 'The task waits until the workflow runs' })
  workflow_id?: string | null;

  @IdsField({ is: 'optional', description: 'Tasks that must complete first' })
  dependencies?: string[];

  @WholeField({ is: 'optional', min: 1, max: 100, default: 3 })
  max_attempts?: number;

  @ApiPropertyOptional({ type: RetryPolicyDto })
  @Optional()
  @IsObject()
  @ValidateNested()
  @Type(() => RetryPolicyDto)
  retry?: RetryPolicyDto;

  @WholeField({ is: 'nullable', min: 1, max: 86_400, description: 'Of one attempt; then it counts as failed' })
  timeout_seconds?: number | null;

  @TimeField({ is: 'nullable', description: 'Not before' })
  scheduled_at?: Date | null;

  @WholeField({ is: 'optional', min: 0, max: MOST, description: 'Not more than subtasks_total' })
  subtasks_completed?: number;

  @WholeField({ is: 'optional', min: 0, max: MOST })
  subtasks_total?: number;

  @NumberField({ is: 'nullable', min: 0, max: 1e9 })
  estimated_duration_minutes?: number | null;

  @NumberField({ is: 'nullable', min: 1, max: 10 })
  complexity_score?: number | null;

  @PositiveField({ is: 'nullable', max: 1e9 })
  effort_points?: number | null;

  @NumberField({ is: 'nullable', min: 0, max: 100 })
  quality_score?: number | null;

  @TimeField({ is: 'nullable' })
  due_date?: Date | null;

  @FlagField({ is: 'optional', default: false })
  is_urgent?: boolean;

  @FlagField({ is: 'optional', default: false })
  requires_review?: boolean;

  @TextField({ is: 'nullable', min: 1, max: 255 })
  created_by?: string | null;
}
