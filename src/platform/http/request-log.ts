import { Logger } from '@nestjs/common';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Environment } from '../config/environment.js';
import { type RequestContext, runInContext } from '../context/request-context.js';
import { pathOf } from './version.js';

/** An id fits; what is longer is no id of ours. */
const LONGEST_PARAMETER = 64;

/**
 * One line per request when it is answered: at level debug, or warning when the server failed. As JSON it has fields,
 * and the route as it is written, so that lines can be grouped; for people it has the path.
 */
export function addRequestLog(
  fastify: FastifyInstance,
  { LOG_LEVEL, LOG_FORMAT }: Environment,
  contextOf: (request: FastifyRequest) => Partial<RequestContext>,
): void {
  const logger = new Logger('Request');
  const describe = LOG_FORMAT === 'json' ? asFields : asText;

  fastify.addHook('onResponse', (request, reply, done) => {
    const level = reply.statusCode >= 500 ? 'warn' : 'debug';
    if (level === 'warn' || LOG_LEVEL === 'debug') {
      // The hook runs outside the asynchronous context of the request.
      runInContext(contextOf(request), () => logger[level](...describe(request, reply)));
    }
    done();
  });
}

function asText({ method, url }: FastifyRequest, { statusCode, elapsedTime }: FastifyReply): [string, ...object[]] {
  return [`${method} ${pathOf(url)} ${statusCode} in ${elapsedTime.toFixed(1)} ms`];
}

function asFields(request: FastifyRequest, { statusCode: status, elapsedTime }: FastifyReply): [string, ...object[]] {
  const { method } = request;
  const route = request.is404 ? null : (request.routeOptions.url ?? null);
  const params = Object.entries((request.params ?? {}) as Record<string, string>).filter(
    ([name, value]) => name !== '*' && value.length <= LONGEST_PARAMETER,
  );
  return [
    `${method} ${route ?? 'unknown route'} ${status}`,
    {
      method,
      route,
      status,
      duration_ms: Math.round(elapsedTime * 10) / 10,
      ...(params.length > 0 && { params: Object.fromEntries(params) }),
    },
  ];
}
