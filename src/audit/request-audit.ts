import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Environment } from '../platform/config/environment.js';
import { runInContext } from '../platform/context/request-context.js';
import { eventRow } from '../platform/events/event-rows.js';
import type { AuditConfig } from '../platform/http/audited.decorator.js';
import { contextOf, isMutating } from '../platform/http/request-hooks.js';
import { RequestHandled } from './audit.events.js';
import { type AuditRow, AuditWriter } from './audit-writer.js';
import { recordOf } from './request-record.js';

const UNAVAILABLE = 503;

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
    fastify?.addHook('onSend', (request, reply, _payload, done) => {
      if (isAudited(request, reply)) void this.write(request, reply).then(() => done());
      else done();
    });
  }

  /** What the router itself refused has been answered without any hook. */
  noteUnreadable(request: FastifyRequest, reply: FastifyReply): void {
    if (this.environment.ENABLE_REQUEST_AUDIT && isMutating(request)) void this.write(request, reply);
  }

  private async write(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const context = contextOf(request);
    await runInContext(context, async () => {
      try {
        const row = rowOf(request, reply, context);
        // Such an answer must not wait for what made it necessary.
        if (reply.statusCode === UNAVAILABLE) this.writer.keep(row);
        else await this.writer.write(row);
      } catch (error) {
        this.logger.error(`${request.method} ${request.routeOptions.url ?? ''} left no record`, error);
      }
    });
  }
}

function isAudited(request: FastifyRequest, reply: FastifyReply): boolean {
  if (!isMutating(request)) return false;
  const { audits_refusals_only } = (request.routeOptions.config ?? {}) as AuditConfig;
  return !audits_refusals_only || reply.statusCode >= 400;
}

function rowOf(request: FastifyRequest, reply: FastifyReply, context: ReturnType<typeof contextOf>): AuditRow {
  const { source, actor_type, actor_id, ip, principal } = context;
  const record = recordOf(request, reply, context);
  const row = eventRow(new RequestHandled(record), {
    source,
    actor_type,
    actor_id: actor_id ?? principal?.id ?? null,
    // Not the path: it may be of any length, and hold anything.
    metadata: { request_id: request.id, endpoint: `${record.method} ${record.route ?? record.path}`, ip },
  });
  return { id: row.id as string, request_id: request.id, json: JSON.stringify(row) };
}
