import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Transform, Type } from 'class-transformer';
import { ArrayMaxSize, IsArray, IsObject, isObject, ValidateNested } from 'class-validator';
import { AGENT_REF } from '../../agents/agent-ref.js';
import { ChoiceField, JsonField, PatternField, TextField, TextsField, WholeField } from '../../platform/http/fields.js';
import { Optional } from '../../platform/http/optional.decorator.js';
import { RetryPolicyDto } from '../../tasks/dto/create-task.dto.js';
import { PRIORITY_ALIASES, TaskPriority } from '../../tasks/task-state.js';
import { OnFailure } from '../run-state.js';

const MAX_STEPS = 500;
const MAX_EXPRESSION = 10_000;

export class ConcurrencyDto {
  @TextField({
    min: 1,
    max: MAX_EXPRESSION,
    description: 'Expression whose value is the key, e.g. input.repository or "gpu"',
    example: 'input.repository',
  })
  key: string;

  @WholeField({ min: 1, max: 1000, description: 'How many tasks with this key may be in progress at once' })
  limit: number;
}

const ConcurrencyField = (description: string) =>
  applyDecorators(
    ApiPropertyOptional({ type: ConcurrencyDto, description }),
    Optional(),
    IsObject(),
    ValidateNested(),
    Type(() => ConcurrencyDto),
  );

export class StepDto {
  @PatternField(/^[a-z][a-z0-9_]{0,99}$/, 'key must begin with a-z and have only a-z, 0-9 and _', {
    example: 'analyse',
  })
  key: string;

  @TextField({ is: 'optional', min: 1, max: 500, description: "The tasks' title; the key by default" })
  name?: string;

  @TextField({ is: 'nullable', max: 100_000 })
  instructions?: string | null;

  @TextField({ is: 'nullable', min: 1, max: 100 })
  task_type?: string | null;

  @TextField({ is: 'nullable', min: 1, max: 100 })
  agent_type?: string | null;

  @PatternField(AGENT_REF, "agent_id must be an agent's id or key", { is: 'nullable' })
  agent_id?: string | null;

  @TextsField({ is: 'optional' })
  required_capabilities?: string[];

  @Transform(({ value }) => (typeof value === 'string' ? (PRIORITY_ALIASES[value] ?? value) : (value as unknown)))
  @ChoiceField(TaskPriority, 'TaskPriority', { is: 'optional' })
  priority?: TaskPriority;

  @WholeField({ is: 'nullable', min: 1, max: 86_400 })
  timeout_seconds?: number | null;

  @ApiPropertyOptional({ type: RetryPolicyDto })
  @Optional()
  @IsObject()
  @ValidateNested()
  @Type(() => RetryPolicyDto)
  retry?: RetryPolicyDto;

  @WholeField({ is: 'optional', min: 1, max: 100 })
  max_attempts?: number;

  @TextsField({ is: 'optional', description: 'Keys of the steps that come before' })
  depends_on?: string[];

  @JsonField({ description: 'Any JSON; strings may hold ${{ expression }}' })
  input?: unknown;

  @TextField({ is: 'optional', min: 1, max: MAX_EXPRESSION, description: 'Expression; false: the step is skipped' })
  when?: string;

  @TextField({
    is: 'optional',
    min: 1,
    max: MAX_EXPRESSION,
    description: 'Expression that yields a list: one task per item',
  })
  for_each?: string;

  @WholeField({ is: 'optional', min: 1, max: 10_000, description: 'How many of its tasks may be ready at once' })
  max_parallel?: number;

  @ChoiceField(OnFailure, 'OnFailure', { is: 'optional', default: OnFailure.Fail })
  on_failure?: OnFailure;

  @ConcurrencyField("For this step's tasks, in place of the workflow's; item and index may be used")
  concurrency?: ConcurrencyDto;
}

export const StepsField = (is: 'required' | 'optional') =>
  applyDecorators(
    ApiProperty({ type: [StepDto], required: is === 'required' }),
    ...(is === 'optional' ? [Optional()] : []),
    IsArray(),
    ArrayMaxSize(MAX_STEPS),
    // null and lists would pass as steps; what is neither object nor list is named by its own place.
    Transform(({ value }) => (Array.isArray(value) ? value.map((step) => isObject(step) && step) : (value as unknown))),
    ValidateNested({ each: true, message: 'must be an object' }),
    Type(() => StepDto),
  );

export class DefinitionDto {
  @StepsField('required')
  steps: StepDto[];

  @ConcurrencyField('For the tasks of all steps that have none of their own; of input, run and workflow')
  concurrency?: ConcurrencyDto;
}
