import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Environment } from '../platform/config/environment.js';
import { type RequestContext, runInContext } from '../platform/context/request-context.js';
import { newId } from '../platform/database/new-id.js';
import type { AuditConfig } from '../platform/http/audited.decorator.js';
import { contextOf, isMutating } from '../platform/http/request-hooks.js';
import { RequestHandled } from './audit.events.js';
import { type AuditRow, AuditWriter } from './audit-writer.js';
import { recordOf } from './request-record.js';

const UNAVAILABLE = 503;
const RATE_LIMITED = 429;

/**
 * No mutation without a trace, no trace without its outcome: the record of a request is written before its answer is
 * sent. A hook and no interceptor, as that would not see what guards, the body's reader or the router refuse.
 */
@Injectable()
export class RequestAudit implements OnModuleInit {
  private readonly logger = new Logger('Audit');

  constructor(
    private readonly host: HttpAdapterHost,
    private readonly environment: Environment,
    private readonly writer: AuditWriter,
  ) {}

  /** Before the routes are made ready; a worker has none. */
  onModuleInit(): void {
    const fastify = this.host.httpAdapter?.getInstance<FastifyInstance | undefined>();
    if (!this.environment.ENABLE_REQUEST_AUDIT) return;
    fastify?.addHook('preHandler', (request, reply, done) => {
      const { audited_within: status } = configOf(request);
      if (status) {
        const context = contextOf(request);
        context.trace?.useRecorder(() => rowOf(request, reply, context, status), status);
      }
      done();
    });
    fastify?.addHook('onSend', (request, reply, _payload, done) => {
      if (isAudited(request, reply)) this.write(request, reply, done);
      else done();
    });
  }

  /** What the router itself refused has been answered without any hook. */
  noteUnreadable(request: FastifyRequest, reply: FastifyReply): void {
    if (this.environment.ENABLE_REQUEST_AUDIT && isMutating(request)) this.write(request, reply, () => undefined);
  }

  /** With a callback, as promises and contexts of their own would be a good part of what a record costs. */
  private write(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const context = contextOf(request);
    // An answer that failed after all is another outcome.
    if (context.trace?.recorded_status === reply.statusCode) return done();
    let row: AuditRow;
    try {
      const record = rowOf(request, reply, context);
      row = { id: record.id, request_id: request.id, json: JSON.stringify(record) };
    } catch (error) {
      runInContext(context, () => this.logger.error('A request left no record', error));
      return done();
    }
    // Such an answer must not wait for what made it necessary.
    if (reply.statusCode !== UNAVAILABLE) return this.writer.write(row, done);
    this.writer.keep(row);
    done();
  }
}

const configOf = ({ routeOptions }: FastifyRequest): AuditConfig => (routeOptions.config ?? {}) as AuditConfig;

function isAudited(request: FastifyRequest, reply: FastifyReply): boolean {
  // Who may not flood the server may not flood its log either: these are counted by the metrics.
  if (!isMutating(request) || reply.statusCode === RATE_LIMITED) return false;
  return !configOf(request).audits_refusals_only || reply.statusCode >= 400;
}

/** Its row in the event log. */
function rowOf(request: FastifyRequest, reply: FastifyReply, context: Partial<RequestContext>, status?: number) {
  const { source, actor_type, actor_id, ip, principal } = context;
  const record = recordOf(request, reply, context, status);
  const { type, severity, ...data } = new RequestHandled(record);
  return {
    id: newId(),
    type,
    severity,
    source,
    actor_type,
    actor_id: actor_id ?? principal?.id ?? null,
    data,
    // Not the path: it may be of any length, and hold anything.
    metadata: { request_id: request.id, endpoint: `${record.method} ${record.route ?? record.path}`, ip },
  };
}
