import { applyDecorators } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { AddRouteConfig } from '../http/route-config.js';

/** Kinds of work, each with a limit of its own, so that one cannot use up what another needs. */
export const LIMIT_CLASSES = ['read', 'write', 'upload', 'lease', 'login', 'socket'] as const;
export type LimitClass = (typeof LIMIT_CLASSES)[number];

/** Marks an operation that is not limited for the document. */
export const UNLIMITED = 'x-unlimited';

/** As the router keeps it beside the route, where hooks find it before there is a handler. */
interface LimitConfig {
  limit_class?: LimitClass | 'none';
}

/** Of a controller or a method whose class is not what its HTTP method says: GET reads, the others write. */
export const LimitedAs = (limit_class: LimitClass) => AddRouteConfig({ limit_class } satisfies LimitConfig);

/** Of a controller or a method that always answers: how the server is must be told most of all when it has much to do. */
export const Unlimited = () =>
  applyDecorators(AddRouteConfig({ limit_class: 'none' } satisfies LimitConfig), ApiExtension(UNLIMITED, true));

/** Null for what is never limited. */
export function limitClassOf({ method, routeOptions }: FastifyRequest): LimitClass | null {
  const { limit_class } = (routeOptions.config ?? {}) as LimitConfig;
  if (limit_class !== undefined) return limit_class === 'none' ? null : limit_class;
  return method === 'GET' || method === 'HEAD' ? 'read' : 'write';
}
