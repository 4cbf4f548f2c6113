import { ValidateIf } from 'class-validator';

/** The field may be absent. Unlike `@IsOptional()` an explicit null is still checked, and so refused. */
export const Optional = (): PropertyDecorator => ValidateIf((_object, value) => value !== undefined);

/** The field may be absent or null, where null clears it. */
export const Nullable = (): PropertyDecorator => ValidateIf((_object, value) => value !== undefined && value !== null);
