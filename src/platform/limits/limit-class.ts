import { applyDecorators } from '@nestjs/common';
import { FASTIFY_ROUTE_CONFIG_METADATA } from '@nestjs/platform-fastify/constants.js';
import { ApiExtension } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';

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
export const LimitedAs = (limit_class: LimitClass) => configure({ limit_class });

/** Of a controller or a method that always answers: how the server is must be told most of all when it has much to do. */
export const Unlimited = () => applyDecorators(configure({ limit_class: 'none' }), ApiExtension(UNLIMITED, true));

/** Null for what is never limited. */
export function limitClassOf({ method, routeOptions }: FastifyRequest): LimitClass | null {
  const { limit_class } = (routeOptions.config ?? {}) as LimitConfig;
  if (limit_class !== undefined) return limit_class === 'none' ? null : limit_class;
  return method === 'GET' || method === 'HEAD' ? 'read' : 'write';
}

/** Nest's `@RouteConfig` replaces what another one said, and knows no controllers. */
function configure(config: LimitConfig): ClassDecorator & MethodDecorator {
  const add = (handler: object): void => {
    const known = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG_METADATA, handler) as LimitConfig | undefined;
    // What is said of a method is meant more than what is said of its controller, which comes later.
    Reflect.defineMetadata(FASTIFY_ROUTE_CONFIG_METADATA, { ...config, ...known }, handler);
  };
  return (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor) => {
    if (descriptor) return add(descriptor.value as object);
    const { prototype } = target as { prototype: object };
    for (const { value } of Object.values(Object.getOwnPropertyDescriptors(prototype))) {
      if (typeof value === 'function' && value !== target) add(value as object);
    }
  };
}
