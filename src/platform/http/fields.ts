import { applyDecorators } from '@nestjs/common';
import { ApiProperty, type ApiPropertyOptions } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import {
  Allow,
  ArrayMaxSize,
  IsArray,
  IsBoolean,
  IsDate,
  IsIn,
  IsInt,
  IsNumber,
  IsObject,
  IsPositive,
  IsString,
  IsUUID,
  Length,
  Matches,
  Max,
  MaxDate,
  Min,
  MinDate,
  ValidateBy,
} from 'class-validator';
import { readInstant } from './instant.js';
import { Nullable, Optional } from './optional.decorator.js';
import { ANY_TYPE } from './response-fields.js';

/** Rule and documentation of a field in one decorator, so that they cannot differ. */
interface FieldOptions {
  /** required by default */
  is?: 'required' | 'optional' | 'nullable';
  description?: string;
  example?: unknown;
  default?: unknown;
}

const MAX_LIST = 1000;
const NOT_BLANK = /\S/;

function field(options: FieldOptions, api: ApiPropertyOptions, ...rules: PropertyDecorator[]): PropertyDecorator {
  const { is = 'required', description, example, default: fallback } = options;
  const presence = is === 'required' ? [] : is === 'optional' ? [Optional()] : [Nullable()];
  const documented = {
    ...api,
    required: is === 'required',
    nullable: is === 'nullable',
    ...(description !== undefined && { description }),
    ...(example !== undefined && { example }),
    ...(fallback !== undefined && { default: fallback }),
  } as ApiPropertyOptions;
  return applyDecorators(ApiProperty(documented), ...presence, ...rules);
}

export const TextField = ({ min = 0, max = 10_000, ...options }: FieldOptions & { min?: number; max?: number } = {}) =>
  field(options, { type: String, minLength: min, maxLength: max }, IsString(), Length(min, max));

/** A text that people call something by: not of blanks alone. */
export const NameField = ({ max, ...options }: FieldOptions & { max: number }) =>
  field(
    options,
    { type: String, minLength: 1, maxLength: max, pattern: NOT_BLANK.source },
    IsString(),
    Length(1, max),
    Matches(NOT_BLANK, { message: '$property must not be blank' }),
  );

export const PatternField = (pattern: RegExp, message: string, options: FieldOptions = {}) =>
  field(options, { type: String, pattern: pattern.source }, IsString(), Matches(pattern, { message }));

export const WholeField = ({ min, max, ...options }: FieldOptions & { min: number; max: number }) =>
  field(
    options,
    { type: 'integer', minimum: min, maximum: max },
    IsInt({ message: '$property must be a whole number' }),
    Min(min),
    Max(max),
  );

export const NumberField = ({ min, max, ...options }: FieldOptions & { min: number; max: number }) =>
  field(
    options,
    { type: Number, minimum: min, maximum: max },
    IsNumber({ allowNaN: false, allowInfinity: false }),
    Min(min),
    Max(max),
  );

/** A number above zero. */
export const PositiveField = ({ max, ...options }: FieldOptions & { max: number }) =>
  field(
    options,
    // A number in OpenAPI 3.1; swagger's type is that of 3.0.
    { type: Number, exclusiveMinimum: 0 as never, maximum: max },
    IsNumber({ allowNaN: false, allowInfinity: false }),
    IsPositive({ message: '$property must be greater than 0' }),
    Max(max),
  );

export const FlagField = (options: FieldOptions = {}) => field(options, { type: Boolean }, IsBoolean());

export const IdField = (options: FieldOptions = {}) =>
  field(
    options,
    { type: String, format: 'uuid' },
    IsUUID(),
    Transform(({ value }) => lowerCase(value)),
  );

export const IdsField = (options: FieldOptions & { min?: number; max?: number } = {}) =>
  field(
    options,
    { type: String, format: 'uuid', isArray: true, minItems: options.min ?? 0, maxItems: options.max ?? MAX_LIST },
    IsArray(),
    ArrayMaxSize(options.max ?? MAX_LIST),
    IsUUID(undefined, { each: true }),
    Transform(({ value }) => (Array.isArray(value) ? value.map(lowerCase) : (value as unknown))),
  );

/** What both JavaScript and PostgreSQL read and write as ISO 8601 with four digits of a year. */
const FIRST_INSTANT = new Date('0001-01-01T00:00:00Z');
const LAST_INSTANT = new Date('9999-12-31T23:59:59.999Z');

/** An instant; read from ISO 8601 as RFC 3339 has it, with its offset: what is meant must not depend on the server. */
export const TimeField = (options: FieldOptions = {}) =>
  field(
    options,
    { type: String, format: 'date-time' },
    Transform(({ value }) => (typeof value === 'string' ? (readInstant(value) ?? value) : (value as unknown))),
    IsDate({ message: '$property must be an ISO 8601 date and time with Z or an offset: 2026-01-31T09:30:00Z' }),
    MinDate(FIRST_INSTANT),
    MaxDate(LAST_INSTANT),
  );

export const ChoiceField = (choices: Record<string, string>, enumName: string, options: FieldOptions = {}) =>
  field(options, { enum: choices, enumName }, IsIn(Object.values(choices)));

/** Short texts: tags, tools, capabilities. */
export const TextsField = (options: FieldOptions = {}) =>
  field(
    options,
    { type: String, isArray: true, maxItems: MAX_LIST },
    IsArray(),
    ArrayMaxSize(MAX_LIST),
    IsString({ each: true }),
    Length(1, 255, { each: true }),
  );

/**
 * An object of the client, with any keys. Not a plain object: the copies that class-transformer and TypeORM make of plain
 * ones lose keys such as `toString`.
 */
class ClientJson {}

/** Keeps JSON of the client as it came. */
const Untouched = () =>
  Transform(({ obj, key }: { obj: Record<string, unknown>; key: string }) => {
    const value = obj[key];
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? Object.assign(new ClientJson(), value) : value;
  });

/** A JSON object that belongs to the client: stored and returned as it came. */
export const ObjectField = (options: FieldOptions = {}) =>
  field(options, { type: 'object', additionalProperties: true }, Untouched(), IsObject());

/** Any JSON value, null too: stored and returned as it came. */
export const JsonField = (options: FieldOptions = {}) =>
  field({ is: 'optional', ...options }, { type: ANY_TYPE }, Untouched(), Allow());

/** A query parameter that is true or false. */
export const QueryFlag = (options: FieldOptions = {}) =>
  field(
    { is: 'optional', ...options },
    { type: Boolean },
    Transform(({ value }) => (value === 'true' ? true : value === 'false' ? false : (value as unknown))),
    IsBoolean(),
  );

/** A query parameter with several values, separated by commas. */
export const QueryList = (options: FieldOptions = {}) =>
  field(
    { is: 'optional', ...options },
    { type: String },
    Transform(({ value }) =>
      typeof value === 'string' ? value.split(',').map((part) => part.trim()) : (value as unknown),
    ),
    IsString({ each: true }),
    Length(1, 255, { each: true }),
  );

/** A query parameter that is a whole number, in plain digits. */
export const QueryWhole = (options: FieldOptions & { min: number; max: number }) =>
  applyDecorators(
    WholeField({ is: 'optional', ...options }),
    Transform(({ value }) => (typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : (value as unknown))),
  );

/** A field of the resource that another request sets: what would be lost here is refused, with the way to it. */
export const SetElsewhere = (initial: unknown, message: string): PropertyDecorator =>
  ValidateBy({
    name: 'setElsewhere',
    validator: { validate: (value) => value === undefined || value === initial, defaultMessage: () => message },
  });

const lowerCase = (value: unknown): unknown => (typeof value === 'string' ? value.toLowerCase() : value);
