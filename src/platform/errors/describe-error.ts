import { HttpException, HttpStatus } from '@nestjs/common';
import { STATUS_CODES } from 'node:http';
import { DatabaseTooSlow, DatabaseUnavailable } from './common.errors.js';
import { isConnectionFailure } from './connection-failure.js';
import { isDatabaseTimeout } from './database-timeout.js';
import { DomainError, type DomainErrorKind, type FieldError } from './domain-error.js';
import type { ProblemDocument } from './problem-document.js';

export const STATUS_OF: Record<DomainErrorKind, HttpStatus> = {
  malformed: HttpStatus.BAD_REQUEST,
  invalid: HttpStatus.UNPROCESSABLE_ENTITY,
  unauthenticated: HttpStatus.UNAUTHORIZED,
  forbidden: HttpStatus.FORBIDDEN,
  not_found: HttpStatus.NOT_FOUND,
  conflict: HttpStatus.CONFLICT,
  too_many: HttpStatus.TOO_MANY_REQUESTS,
  unavailable: HttpStatus.SERVICE_UNAVAILABLE,
};

/** What Fastify refuses by itself, before Nest: its error codes, ours, and a sentence that helps. */
const FASTIFY_REFUSALS: Record<string, { code: string; detail: string }> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'body_too_large', detail: 'The body is too large' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'unsupported_media_type',
    detail: 'The body must be JSON, sent with the content type application/json',
  },
};

interface Described {
  status: HttpStatus;
  body: ProblemDocument & Record<string, unknown>;
  /** The server is to blame: the log must tell what happened. */
  is_unexpected: boolean;
}

/** The only place that decides what a client learns about an error, over HTTP and over a socket alike. */
export function describeError(error: unknown, instance: string, request_id: string | null): Described {
  const describe = (
    status: HttpStatus,
    code: string,
    detail: string,
    more: { details?: Readonly<Record<string, unknown>>; errors?: readonly FieldError[] } = {},
  ): Described => ({
    status,
    body: {
      ...more.details,
      type: `urn:flightdeck:problem:${code}`,
      title: STATUS_CODES[status] ?? 'Error',
      status,
      code,
      detail,
      instance,
      request_id,
      error: detail,
      ...(more.errors && { errors: more.errors }),
    },
    is_unexpected: status >= HttpStatus.INTERNAL_SERVER_ERROR && status !== HttpStatus.SERVICE_UNAVAILABLE,
  });

  if (error instanceof DomainError) return describe(STATUS_OF[error.kind], error.code, error.message, error);
  if (isDatabaseTimeout(error)) return describeError(new DatabaseTooSlow(), instance, request_id);
  if (isConnectionFailure(error)) return describeError(new DatabaseUnavailable(), instance, request_id);
  const refusal = fastifyError(error);
  if (refusal) {
    const { code, detail } = FASTIFY_REFUSALS[refusal.code] ?? { code: 'malformed_request', detail: refusal.message };
    return describe(refusal.statusCode, code, detail);
  }
  if (error instanceof HttpException) return describe(error.getStatus(), codeOf(error), error.message);
  return describe(HttpStatus.INTERNAL_SERVER_ERROR, 'internal_error', 'The server failed; its log says why.');
}

const codeOf = (error: HttpException): string =>
  error.errorCode ?? HttpStatus[error.getStatus()]?.toLowerCase() ?? 'http_error';

interface FastifyRefusal extends Error {
  code: string;
  statusCode: HttpStatus;
}

/** Nest wraps some of Fastify's own errors, and says less. */
function fastifyError(error: unknown): FastifyRefusal | null {
  const { code, statusCode, cause } = (error ?? {}) as Partial<FastifyRefusal>;
  if (cause instanceof Error) return fastifyError(cause);
  const isRefusal = error instanceof Error && code?.startsWith?.('FST_') && Number(statusCode) < 500;
  return isRefusal ? (error as FastifyRefusal) : null;
}
