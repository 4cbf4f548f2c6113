import { type ArgumentMetadata, Injectable, type PipeTransform, ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import type { FieldError } from '../errors/domain-error.js';
import { InvalidInput } from '../errors/common.errors.js';
import { rememberValidationRules } from './validation-rules.js';

rememberValidationRules();

class Violations extends Error {
  constructor(readonly violations: ValidationError[]) {
    super('invalid');
  }
}

/**
 * Nest's own removes keys such as `prototype` everywhere, also from free JSON, which is the client's. What could pollute
 * a prototype is refused where bodies are read, and class-transformer passes it by in queries and messages.
 */
class KeepingPipe extends ValidationPipe {
  protected override stripProtoKeys(): void {}
}

/**
 * The one check of bodies and queries. Unknown fields are dropped (older clients send extras); what is wrong is named
 * by its place: a JSON pointer in a body, a parameter's name in a query.
 */
@Injectable()
export class InputPipe implements PipeTransform {
  private readonly pipe = new KeepingPipe({
    whitelist: true,
    transform: true,
    stopAtFirstError: true,
    validationError: { target: false, value: false },
    exceptionFactory: (violations) => new Violations(violations),
  });

  async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    if (metadata.type === 'body' && isDto(metadata.metatype)) {
      if (value !== undefined && (typeof value !== 'object' || value === null || Array.isArray(value))) {
        throw new InvalidInput([{ pointer: '', detail: 'must be a JSON object' }]);
      }
    }
    try {
      return (await this.pipe.transform(value, metadata)) as unknown;
    } catch (error) {
      if (error instanceof Violations) throw new InvalidInput(fieldErrors(error.violations, metadata.type === 'body'));
      throw error;
    }
  }
}

const isDto = (metatype: unknown): boolean =>
  typeof metatype === 'function' && ![Object, String, Number, Boolean, Array].includes(metatype as never);

export function fieldErrors(violations: ValidationError[], isBody: boolean, parent = ''): FieldError[] {
  return violations.flatMap(({ property, constraints, children }) => {
    const pointer = isBody ? `${parent}/${property}` : parent ? `${parent}.${property}` : property;
    const own = Object.values(constraints ?? {}).map((message) => ({
      pointer,
      detail: withoutName(message, property),
    }));
    return [...own, ...fieldErrors(children ?? [], isBody, pointer)];
  });
}

const withoutName = (message: string, property: string): string =>
  message.startsWith(`${property} `) ? message.slice(property.length + 1) : message;
