import { applyDecorators } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { FASTIFY_ROUTE_CONFIG_METADATA } from '@nestjs/platform-fastify/constants';
import { ApiExtension } from '@nestjs/swagger';

/** Marks in the document which requests leave a record only when they are refused. */
export const AUDITED = 'x-audited';

/** What a route says of its audit, in the configuration that Fastify keeps for it. */
export interface AuditConfig {
  audits_refusals_only?: boolean;
}

/**
 * Every mutating request leaves a record, without being asked to. This one does so only when it was refused; the reason is
 * required, because it is what a reader of the audit wants to know.
 */
export const AuditRefusalsOnly = (reason: string): MethodDecorator =>
  applyDecorators(
    (_target: object, _name: string | symbol, descriptor: PropertyDescriptor) => {
      const handler = descriptor.value as object;
      // Another decorator may have said something else of the route.
      const config = (Reflect.getMetadata(FASTIFY_ROUTE_CONFIG_METADATA, handler) ?? {}) as object;
      RouteConfig({ ...config, audits_refusals_only: true } satisfies AuditConfig)(_target, _name, descriptor);
    },
    ApiExtension(AUDITED, `refusals only: ${reason}`),
  );
