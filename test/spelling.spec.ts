import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from './support/test-app.js';

const SNAKE_CASE = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;

interface Schema {
  properties?: Record<string, Schema>;
  enum?: string[];
}

interface Document {
  paths: Record<string, Record<string, { parameters?: { name: string; in: string }[] }>>;
  components: { schemas: Record<string, Schema> };
}

/** One field has one name everywhere, in snake_case (style.md, section 6). */
describe('the spelling', () => {
  let server: TestApp;
  let document: Document;

  beforeAll(async () => {
    server = await startTestApp();
    document = (await server.get<Document>('/openapi.json')).body;
  });
  afterAll(() => server.close());

  it('of every column is that of its property', () => {
    const columns = server.app
      .get(DataSource)
      .entityMetadatas.flatMap(({ tableName, columns }) => columns.map((column) => ({ tableName, column })));

    expect(columns.length).toBeGreaterThan(50);
    for (const { tableName, column } of columns) {
      expect(`${tableName}.${column.databaseName}`).toBe(`${tableName}.${column.propertyName}`);
      expect(column.propertyName).toMatch(SNAKE_CASE);
      expect(tableName).toMatch(SNAKE_CASE);
    }
  });

  it('of every property in the API is snake_case', () => {
    const names = Object.entries(document.components.schemas).flatMap(([schema, { properties = {} }]) =>
      Object.keys(properties).map((property) => ({ schema, property })),
    );

    expect(names.length).toBeGreaterThan(200);
    expect(names.filter(({ property }) => !SNAKE_CASE.test(property))).toEqual([]);
  });

  it('of every parameter is snake_case', () => {
    const parameters = Object.values(document.paths)
      .flatMap((methods) => Object.values(methods))
      .flatMap(({ parameters = [] }) => parameters)
      .filter(({ in: place }) => place !== 'header');

    expect(parameters.length).toBeGreaterThan(100);
    expect(parameters.filter(({ name }) => !SNAKE_CASE.test(name))).toEqual([]);
  });

  it('of every value of an enum is snake_case', () => {
    const values = Object.values(document.components.schemas).flatMap(({ enum: values = [] }) => values);

    expect(values.length).toBeGreaterThan(20);
    expect(values.filter((value) => !SNAKE_CASE.test(value))).toEqual([]);
  });
});
