import { Param, ParseUUIDPipe, type PipeTransform } from '@nestjs/common';
import { InvalidInput } from '../errors/common.errors.js';

/** Checks an id in the path; a bad one is the same error as a bad field. */
class IdPipe extends ParseUUIDPipe implements PipeTransform<string> {
  constructor(name: string) {
    super({
      exceptionFactory: () => new InvalidInput([{ pointer: name, detail: 'must be a UUID' }]),
    });
  }

  override async transform(value: string, metadata: Parameters<ParseUUIDPipe['transform']>[1]): Promise<string> {
    await super.transform(value, metadata);
    return value.toLowerCase();
  }
}

/** A UUID in the path. */
export const Id = (name = 'id'): ParameterDecorator => Param(name, new IdPipe(name));
