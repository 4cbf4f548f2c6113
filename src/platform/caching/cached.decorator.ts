import { applyDecorators, HttpStatus, type Type } from '@nestjs/common';
import { INTERCEPTORS_METADATA } from '@nestjs/common/constants.js';
import { ApiResponse } from '@nestjs/swagger';
import { CachingInterceptor } from './caching.interceptor.js';
import { CACHED, type CachedOptions } from './cached-options.js';

/**
 * Answers of a GET are kept until an event says that what they show has changed. Every change of it must have its event
 * in the same transaction, and nothing of the answer may depend on who calls beyond role, project and agent.
 */
export const Cached = (options: CachedOptions) =>
  applyDecorators(
    keep(options),
    ApiResponse({
      status: HttpStatus.NOT_MODIFIED,
      description: 'The client has it: its If-None-Match names the ETag',
    }),
  );

const keep =
  (options: CachedOptions): MethodDecorator =>
  (_target, _name, descriptor: PropertyDescriptor) => {
    const handler = descriptor.value as object;
    Reflect.defineMetadata(CACHED, options, handler);
    // The first of all, wherever it stands among the decorators: what is kept is the answer as the others have made it.
    const others = (Reflect.getMetadata(INTERCEPTORS_METADATA, handler) ?? []) as Type[];
    Reflect.defineMetadata(INTERCEPTORS_METADATA, [CachingInterceptor, ...others], handler);
  };
