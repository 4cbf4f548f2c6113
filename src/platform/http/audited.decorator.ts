import { applyDecorators } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import { AddRouteConfig } from './route-config.js';

/** Marks in the document which requests leave a record only when they are refused. */
export const AUDITED = 'x-audited';

/** What a route says of its audit, in the configuration that Fastify keeps for it. */
export interface AuditConfig {
  audits_refusals_only?: boolean;
  /** With what it answers when it has done what it was asked for. */
  audited_within?: number;
}

/**
 * Every mutating request leaves a record, without being asked to. This one does so only when it was refused; the reason is
 * required, because it is what a reader of the audit wants to know.
 */
export const AuditRefusalsOnly = (reason: string): MethodDecorator =>
  applyDecorators(
    AddRouteConfig({ audits_refusals_only: true } satisfies AuditConfig),
    ApiExtension(AUDITED, `refusals only: ${reason}`),
  );

/**
 * The handler makes one change, and writes the record of its request with it (`RequestTrace.recordWithin`): that costs
 * less than one written afterwards, and is there or not as the change is.
 */
export const AuditedWithin = (success_status: number): MethodDecorator =>
  AddRouteConfig({ audited_within: success_status } satisfies AuditConfig);
