import { applyDecorators } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsObject, ValidateNested } from 'class-validator';
import { FlagField, JsonField, TextField } from '../../platform/http/fields.js';
import { Optional } from '../../platform/http/optional.decorator.js';

export const OutputField = () => JsonField({ description: 'Any JSON, up to 1 MiB' });

export class TaskFailureDto {
  @TextField({ min: 1, max: 10_000, example: 'The model refused' })
  message: string;

  @TextField({ is: 'optional', min: 1, max: 100 })
  code?: string;

  @FlagField({ is: 'optional' })
  retryable?: boolean;
}

export const FailureField = (is: 'required' | 'optional') =>
  applyDecorators(
    ApiProperty({ type: TaskFailureDto, required: is === 'required' }),
    ...(is === 'optional' ? [Optional()] : []),
    IsObject(),
    ValidateNested(),
    Type(() => TaskFailureDto),
  );
