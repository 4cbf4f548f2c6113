import type { TestApp } from './test-app.js';

export interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  pattern?: string;
  enum?: unknown[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  schema: Schema;
}

interface Content {
  content?: Record<string, { schema: Schema }>;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** One route of the document. */
export interface Operation {
  method: Method;
  path: string;
  parameters: Parameter[];
  /** The schema of its body, if it takes one. */
  body: Schema | null;
  responses: Record<string, Content>;
}

/** What the server says of itself: attacks are made from it, so that no new route is left out. */
export interface ApiDocument {
  operations: Operation[];
  schemas: Record<string, Schema>;
}

interface Written {
  paths: Record<
    string,
    Record<string, { parameters?: Parameter[]; requestBody?: Content; responses: Record<string, Content> }>
  >;
  components: { schemas: Record<string, Schema> };
}

export async function apiDocument(server: TestApp): Promise<ApiDocument> {
  const { paths, components } = (await server.get<Written>('/openapi.json')).body;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, responses }]) => ({
      method: method.toUpperCase() as Method,
      path,
      parameters,
      body: requestBody?.content?.['application/json']?.schema ?? null,
      responses,
    })),
  );
  return { operations, schemas: components.schemas };
}

/** The schema itself where there is only its name. */
export function resolved({ schemas }: ApiDocument, schema: Schema): Schema {
  if (schema.$ref) return resolved({ schemas, operations: [] }, schemas[schema.$ref.split('/').at(-1)!]!);
  // Swagger wraps a name that has more said of it.
  if (schema.allOf?.length === 1)
    return { ...schema, allOf: undefined, ...resolved({ schemas, operations: [] }, schema.allOf[0]!) };
  return schema;
}

export const named = ({ method, path }: Operation): string => `${method} ${path}`;

export const isOfVersion1 = ({ path }: Operation): boolean => path.startsWith('/api/v1/');
