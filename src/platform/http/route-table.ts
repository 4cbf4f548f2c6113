import type { FastifyInstance } from 'fastify';

/** All routes, so that a known path asked with another method gets 405 and is told which methods it has. */
export class RouteTable {
  private readonly routes: { pattern: RegExp; methods: string[] }[] = [];

  /** Must run before the routes are registered. */
  static of(fastify: FastifyInstance): RouteTable {
    const table = new RouteTable();
    fastify.addHook('onRoute', ({ url, method }) => {
      // The catch-all of CORS preflights is no route of anything.
      if (url === '*') return;
      table.routes.push({ pattern: toPattern(url), methods: [method].flat() });
    });
    return table;
  }

  methodsOf(path: string): string[] {
    const plain = path.length > 1 ? path.replace(/\/$/, '') : path;
    const methods = this.routes.filter(({ pattern }) => pattern.test(plain)).flatMap(({ methods }) => methods);
    return [...new Set(methods)].sort();
  }
}

const toPattern = (url: string): RegExp =>
  new RegExp(
    `^${
      url
        .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
        .replace(/:[^/]+/g, '[^/]+')
        .replace('*', '.*') || '/'
    }$`,
  );
