import { FASTIFY_ROUTE_CONFIG_METADATA } from '@nestjs/platform-fastify/constants.js';

/**
 * Adds to what Fastify keeps beside a route, where hooks find it before there is a handler: of a method, or of all methods
 * of a controller. Nest's own `@RouteConfig` replaces what another one said, and knows no controllers.
 */
export function AddRouteConfig(config: object): ClassDecorator & MethodDecorator {
  const add = (handler: object): void => {
    const known = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG_METADATA, handler) as object | undefined;
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
