import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from './support/test-app.js';

interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  items?: Schema;
  properties?: Record<string, Schema>;
  [key: string]: unknown;
}

interface Content {
  content?: Record<string, { schema?: Schema }>;
}

interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  parameters?: { name: string; in: string; required?: boolean; schema?: Schema }[];
  requestBody?: Content;
  responses: Record<string, Content & { description: string; headers?: object }>;
}

interface Document {
  openapi: string;
  info: Record<string, unknown>;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

const PROBLEM = '#/components/schemas/ProblemDocument';

/** Every object within, with the way to it. */
function* objectsOf(value: unknown, way = '#'): Generator<[string, Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [way, value as Record<string, unknown>];
  for (const [key, child] of Object.entries(value)) yield* objectsOf(child, `${way}/${key}`);
}

describe('the OpenAPI document', () => {
  let server: TestApp;
  let document: Document;
  let operations: { name: string; path: string; method: string; operation: Operation }[];

  beforeAll(async () => {
    server = await startTestApp();
    document = (await server.get<Document>('/openapi.json')).body;
    operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, path, method, operation })),
    );
  });
  afterAll(() => server.close());

  /** Names what fails instead of the first of it. */
  const failing = (isRight: (entry: (typeof operations)[number]) => boolean): string[] =>
    operations.filter((entry) => !isRight(entry)).map(({ name }) => name);

  it('is of version 3.1 and describes the service', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d$/);
    expect(document.info).toMatchObject({
      title: 'Flightdeck',
      version: expect.any(String),
      description: expect.any(String),
    });
  });

  it('has every route of the server, in all versions', async () => {
    expect(operations.length).toBeGreaterThan(100);
    for (const base of ['/api/v1', '/api/v2', '/api']) {
      for (const list of ['projects', 'agents', 'tasks', 'workflows'])
        expect(document.paths).toHaveProperty([`${base}/${list}`, 'get']);
    }
    expect(document.paths).toHaveProperty(['/health/detailed', 'get']);
  });

  it('gives every operation a unique operationId, a summary and a tag', () => {
    const ids = operations.map(({ operation }) => operation.operationId);

    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
    expect(failing(({ operation }) => /^[a-z]+(_[a-z0-9]+)*$/.test(operation.operationId))).toEqual([]);
    expect(failing(({ operation }) => operation.summary?.length > 5)).toEqual([]);
    expect(failing(({ operation }) => operation.tags?.length === 1)).toEqual([]);
  });

  it('describes the parameters in every path', () => {
    expect(
      failing(({ path, operation }) =>
        [...path.matchAll(/\{(\w+)\}/g)].every(([, name]) =>
          operation.parameters?.some(
            (parameter) => parameter.in === 'path' && parameter.name === name && parameter.required,
          ),
        ),
      ),
    ).toEqual([]);
    expect(failing(({ path }) => !path.includes(':'))).toEqual([]);
  });

  it('types every success', () => {
    const isTyped = ({ operation }: { operation: Operation }): boolean => {
      const good = Object.entries(operation.responses).filter(([status]) => status.startsWith('2'));
      return (
        good.length > 0 &&
        good.every(([status, { content }]) => {
          const schema = content?.['application/json']?.schema;
          return status === '204' ? content === undefined : Boolean(schema?.$ref ?? schema?.items?.$ref);
        })
      );
    };

    expect(failing(isTyped)).toEqual([]);
  });

  it('types every body, and every schema has properties', () => {
    expect(
      failing(
        ({ operation: { requestBody } }) =>
          !requestBody || Boolean(requestBody.content?.['application/json']?.schema?.$ref),
      ),
    ).toEqual([]);
    expect(
      Object.entries(document.components.schemas)
        .filter(([, schema]) => !schema.enum && Object.keys(schema.properties ?? {}).length === 0)
        .map(([name]) => name),
    ).toEqual([]);
  });

  it('documents how requests fail, always with the problem document', () => {
    const api = ({ path }: { path: string }): boolean => /^\/api\/(?!health)/.test(path);
    const statuses = (operation: Operation): string[] => Object.keys(operation.responses);

    expect(failing((entry) => !api(entry) || statuses(entry.operation).includes('503'))).toEqual([]);
    expect(
      failing((entry) => !api(entry) || !entry.path.includes('{') || statuses(entry.operation).includes('404')),
    ).toEqual([]);
    expect(
      failing(
        ({ operation, method }) =>
          method === 'get' || ['400', '413', '415', '422'].every((status) => statuses(operation).includes(status)),
      ),
    ).toEqual([]);
    expect(failing(({ path, operation }) => !path.includes('{') || statuses(operation).includes('400'))).toEqual([]);
    expect(
      failing(
        ({ operation }) =>
          !operation.parameters?.some(({ name }) => name === 'Idempotency-Key') || statuses(operation).includes('409'),
      ),
    ).toEqual([]);
    expect(
      failing(({ path, operation }) =>
        Object.entries(operation.responses)
          .filter(([status]) => /^[45]/.test(status) && path.startsWith('/api/') && path !== '/api/health')
          .every(([, { content }]) => content?.['application/problem+json']?.schema?.$ref === PROBLEM),
      ),
    ).toEqual([]);
  });

  it.each([
    ['a malformed URL', (path: string) => path.replace(/\{.*/, '%ff'), undefined, undefined],
    ['U+0000 in the query', (path: string) => `${path}?x=%00`, undefined, undefined],
    ['broken JSON', (path: string) => path, '{', 'application/json'],
    ['another media type', (path: string) => path, 'x', 'text/css'],
    ['a large body', (path: string) => path, `"${'x'.repeat(3_000_000)}"`, 'application/json'],
    ['a deep body', (path: string) => path, '['.repeat(40) + ']'.repeat(40), 'application/json'],
  ] as const)('documents how every route refuses %s', async (_what, urlOf, body, type) => {
    const undocumented: string[] = [];
    for (const { name, path, method, operation } of operations) {
      if (!path.startsWith('/api/v1/')) continue;
      const url = urlOf(path).replaceAll(/\{\w+\}/g, '01890000-0000-7000-8000-000000000000');
      const asked = method.toUpperCase() as Parameters<TestApp['request']>[0];
      const { status } = await server.request(asked, url, body, type && { 'content-type': type });
      if (!(status in operation.responses)) undocumented.push(`${name}: ${status}`);
    }

    expect(undocumented).toEqual([]);
  });

  it('documents that POST and PATCH take an Idempotency-Key', () => {
    const create = document.paths['/api/v1/projects']!.post!;

    expect(create.parameters).toContainEqual(
      expect.objectContaining({ name: 'Idempotency-Key', in: 'header', required: false }),
    );
  });

  it('refers only to what it has, and has nothing that nobody refers to', () => {
    const text = JSON.stringify(document);
    const refs = new Set([...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name!));
    const names = Object.keys(document.components.schemas);

    expect([...refs].filter((name) => !names.includes(name))).toEqual([]);
    expect(names.filter((name) => !refs.has(name))).toEqual([]);
    expect(text.match(/"\$ref":"(?!#\/components\/schemas\/)/g)).toBeNull();
  });

  it('names every enum, so that clients have one type for it', () => {
    const unnamed = [...objectsOf(document)].filter(
      // A single value is a constant, not a choice.
      ([way, { enum: values }]) =>
        Array.isArray(values) && values.length > 1 && !/^#\/components\/schemas\/\w+$/.test(way),
    );

    expect(unnamed.map(([way]) => way)).toEqual([]);
  });

  it('spells nullable as 3.1 does', () => {
    expect([...objectsOf(document)].filter(([, object]) => 'nullable' in object).map(([way]) => way)).toEqual([]);
  });

  it.each([
    ['TaskResponse', 'output'],
    ['CompleteTaskDto', 'output'],
    ['UpdateTaskStatusDto', 'output'],
    ['StepDto', 'input'],
    ['RunStepResponse', 'output'],
  ])('leaves the type open where any JSON is meant: %s.%s', (schema, property) => {
    expect(document.components.schemas[schema]!.properties![property]).toEqual({ description: expect.any(String) });
  });

  it('has no other type than those of JSON Schema', () => {
    const known = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];
    // Security schemes have types of their own.
    const types = [...objectsOf({ ...document, components: { schemas: document.components.schemas } })]
      .filter(([way]) => !way.endsWith('/properties'))
      .flatMap(([, { type }]) => (type as string | string[] | undefined) ?? []);

    expect([...new Set(types)].filter((type) => !known.includes(type))).toEqual([]);
  });

  it('shows a list as the version has it', () => {
    const list = (base: string) => document.paths[`${base}/tasks`]!.get!.responses['200']!;

    for (const base of ['/api/v1', '/api/v2']) {
      expect(list(base).content!['application/json']!.schema).toEqual({
        type: 'array',
        items: { $ref: '#/components/schemas/TaskResponse' },
      });
      expect(Object.keys(list(base).headers!)).toEqual(
        expect.arrayContaining(['X-Total-Count', 'X-Next-Cursor', 'Link']),
      );
    }
    expect(list('/api').content!['application/json']!.schema).toEqual({ $ref: '#/components/schemas/TaskPage' });
  });

  it('leaves no trace of how it is made', () => {
    expect(JSON.stringify(document)).not.toContain('x-list-of');
  });

  it.each([
    ['ProjectResponse', 'projects', { name: 'x' }],
    ['AgentResponse', 'agents', { name: 'x', type: 'y' }],
    ['TaskResponse', 'tasks', { title: 'x' }],
    ['WorkflowResponse', 'workflows', { name: 'x' }],
  ])('describes all fields of %s, and no others', async (schema, path, fields) => {
    const { body } = await server.post<Record<string, unknown>>(`/api/v1/${path}`, fields);

    expect(Object.keys(document.components.schemas[schema]!.properties!).toSorted()).toEqual(
      Object.keys(body).toSorted(),
    );
  });
});
