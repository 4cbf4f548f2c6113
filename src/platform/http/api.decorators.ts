import { applyDecorators, HttpStatus, type Type, UseInterceptors } from '@nestjs/common';
import { ApiExtension, ApiExtraModels, ApiHeader, ApiOkResponse, ApiResponse, getSchemaPath } from '@nestjs/swagger';
import { STATUS_CODES } from 'node:http';
import { STATUS_OF } from '../errors/describe-error.js';
import type { DomainErrorKind } from '../errors/domain-error.js';
import { ProblemDocument } from '../errors/problem-document.js';
import { PageInterceptor } from './page.interceptor.js';

/** Marks the answer of a list for the document, where it differs by version. */
export const LIST_OF = 'x-list-of';

export const problemResponse = (status: HttpStatus) => ({
  description: STATUS_CODES[status]!,
  content: { 'application/problem+json': { schema: { $ref: getSchemaPath(ProblemDocument) } } },
});

/**
 * Documents failures from the same record that the filter uses, so that the document cannot lie. How a request is
 * refused before its route, `openapi.ts` adds to all.
 */
export function ApiErrors(...kinds: Exclude<DomainErrorKind, 'malformed'>[]) {
  const statuses = new Set([...kinds.map((kind) => STATUS_OF[kind]), HttpStatus.SERVICE_UNAVAILABLE]);
  return applyDecorators(
    ApiExtraModels(ProblemDocument),
    ...[...statuses].map((status) => ApiResponse({ status, ...problemResponse(status) })),
  );
}

/** A list of the type: paged, shaped and documented by version. */
export function Listed(type: Type) {
  return applyDecorators(
    UseInterceptors(PageInterceptor),
    ApiExtraModels(type),
    ApiOkResponse({ description: 'One page', type: [type] }),
    ApiExtension(LIST_OF, type.name),
    ApiErrors('invalid'),
  );
}

/** Says that a repeated request with the same key is harmless; while the first is running, it is a conflict. */
export const ApiIdempotent = () =>
  applyDecorators(
    ApiHeader({
      name: 'Idempotency-Key',
      required: false,
      description: 'A retry with the same key gets the first answer again and changes nothing',
      schema: { type: 'string', maxLength: 255 },
    }),
    ApiErrors('invalid', 'conflict'),
  );
