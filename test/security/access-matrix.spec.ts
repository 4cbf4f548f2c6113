import { PATH_METADATA } from '@nestjs/common/constants';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accessOf } from '../../src/platform/access/access.decorator.js';
import { Role } from '../../src/platform/access/principal.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { SocketClient } from '../support/socket-client.js';
import { bearer, firstKey } from '../support/keys.js';

const MESSAGE = 'message';
const NOBODY = '01890000-0000-7000-8000-000000000000';

interface Operation {
  'x-roles'?: string[];
  security?: object[];
  responses: Record<string, unknown>;
}

const sorted = (roles: Iterable<string>): string => [...roles].toSorted().join(' ');

describe('access', () => {
  let server: TestApp;
  let url: string;
  let routes: { method: string; path: string; operation: Operation }[];
  const keys = new Map<Role, string>();

  beforeAll(async () => {
    server = await startTestApp({ environment: { AUTH_MODE: 'required' }, isListening: true });
    url = await server.listen();
    for (const role of Object.values(Role)) keys.set(role, await firstKey(server, { role }));
    const { body } = await server.get<{ paths: Record<string, Record<string, Operation>> }>('/openapi.json');
    routes = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
    );
  });
  afterAll(() => server.close());

  /** Every method that is a route or a socket message. */
  const handlers = () => {
    const discovery = server.app.get(DiscoveryService);
    const scanner = new MetadataScanner();
    return [...discovery.getControllers(), ...discovery.getProviders()].flatMap(({ instance }) => {
      if (typeof instance !== 'object' || instance === null) return [];
      const prototype = Object.getPrototypeOf(instance) as Record<string, object> | null;
      return scanner.getAllMethodNames(prototype).flatMap((name) => {
        const handler = prototype![name]!;
        const keys = Reflect.getMetadataKeys(handler) as string[];
        const isMessage = keys.includes(MESSAGE);
        if (!isMessage && !keys.includes(PATH_METADATA)) return [];
        const label = isMessage ? `socket ${String(Reflect.getMetadata(MESSAGE, handler))}` : null;
        return [{ owner: instance.constructor.name, name, handler, label, type: instance.constructor }];
      });
    });
  };

  it('is declared by every handler', () => {
    const all = handlers();
    const undeclared = all.filter(({ handler, type }) => accessOf(handler, type) === undefined);

    expect(all.length).toBeGreaterThan(60);
    expect(all.filter(({ label }) => label !== null).length).toBeGreaterThan(2);
    expect(undeclared.map(({ owner, name }) => `${owner}.${name}`)).toEqual([]);
  });

  it('is documented at every route, with its refusals', () => {
    const open = routes.filter(({ operation }) => !operation['x-roles']);
    const closed = routes.filter(({ operation }) => !operation['x-roles']?.includes('public'));
    const wrong = closed.filter(
      ({ operation: { security, responses } }) => security?.length !== 2 || !responses['401'] || !responses['403'],
    );

    expect(open.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
    expect(closed.length).toBeGreaterThan(100);
    expect(wrong.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
  });

  it('is this, role by route', () => {
    const matrix = routes
      // The versions do not differ, which the next test finds out.
      .filter(({ path }) => !/^\/api\/(v2\/|(?!v1\/|health))/.test(path))
      .map(({ method, path, operation }) => `${method} ${path}: ${operation['x-roles']!.join(' ')}`);
    const messages = handlers().flatMap(({ label, handler, type }) => {
      const rule = accessOf(handler, type)!;
      return label === null ? [] : [`${label}: ${rule === 'public' ? rule : [...rule].join(' ')}`];
    });

    expect([...matrix, ...messages].toSorted().join('\n')).toMatchSnapshot();
  });

  it('is what a request meets, cell by cell', async () => {
    const wrong: string[] = [];
    const callers = [...keys, [null, null] as const];
    for (const { method, path, operation } of routes) {
      const roles = operation['x-roles']!;
      const address = path.replace(/\{\w+\}/g, NOBODY);
      // A body that no route accepts, so that nothing is done.
      const body = method === 'GET' || method === 'DELETE' ? undefined : {};
      const answers = await Promise.all(
        callers.map(async ([role, key]) => {
          const { status } = await server.request(method as 'GET', address, body, key ? bearer(key) : {});
          return { role, status };
        }),
      );
      for (const { role, status } of answers) {
        const isPublic = roles.includes('public');
        const expected = isPublic || (role && roles.includes(role)) ? 'in' : role ? '403' : '401';
        const seen = status === 401 || status === 403 ? String(status) : 'in';
        if (seen !== expected) wrong.push(`${role ?? 'nobody'} ${method} ${path}: ${status}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('is what a socket message meets, cell by cell', async () => {
    const messages = handlers().filter(({ label }) => label !== null);
    const wrong: string[] = [];
    for (const [role, key] of keys) {
      const client = await SocketClient.connect(url, { auth: { token: key } });
      for (const { label, handler, type } of messages) {
        const rule = accessOf(handler, type)!;
        const isIn = rule === 'public' || rule.has(role);
        const answer = await client.send(label!.split(' ')[1]!, {});
        if ((answer.status === 403) === isIn) wrong.push(`${role} ${label}: ${JSON.stringify(answer)}`);
      }
      client.close();
    }
    expect(wrong).toEqual([]);
    await expect(SocketClient.connect(url)).rejects.toMatchObject({
      data: { status: 401, code: 'credential_missing' },
    });
    await expect(SocketClient.connect(url, { auth: { token: 'nonsense' } })).rejects.toMatchObject({
      data: { status: 401, code: 'credential_refused' },
    });
  });

  it('knows no other role than those of the matrix', () => {
    const named = new Set(routes.flatMap(({ operation }) => operation['x-roles']!));

    expect(sorted(named)).toBe(sorted([...Object.values(Role), 'public']));
  });
});
