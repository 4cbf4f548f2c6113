import { ApiProperty, type ApiPropertyOptions } from '@nestjs/swagger';

/** Documentation of the fields of answers, which need no rules. */
const shown =
  (base: ApiPropertyOptions) =>
  (options: ApiPropertyOptions = {}): PropertyDecorator =>
    ApiProperty({ ...base, ...options } as ApiPropertyOptions);

export const ShownId = shown({ type: String, format: 'uuid' });
export const ShownText = shown({ type: String });
export const ShownNumber = shown({ type: Number });
export const ShownWhole = shown({ type: 'integer' });
export const ShownFlag = shown({ type: Boolean });
export const ShownTime = shown({ type: String, format: 'date-time' });
export const ShownTexts = shown({ type: [String] });
export const ShownIds = shown({ type: String, format: 'uuid', isArray: true });
/** A JSON object that belongs to the client. */
export const ShownObject = shown({ type: 'object', additionalProperties: true });
/** Stands for the type of a schema that has none, which swagger cannot say by itself; see `openapi.ts`. */
export const ANY_TYPE = 'any' as never;
/** Any JSON value. */
export const ShownJson = shown({ type: ANY_TYPE });
