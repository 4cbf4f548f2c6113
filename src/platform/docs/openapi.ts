import { HttpStatus, type INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { SECURITY_SCHEMES } from '../access/access.decorator.js';
import { LIST_OF, problemResponse } from '../http/api.decorators.js';
import { UNLIMITED } from '../limits/limit-class.js';
import { ANY_TYPE } from '../http/response-fields.js';
import { PAGE_HEADERS } from '../http/page.interceptor.js';
import { APP } from '../config/app-info.js';

type Operation = Record<string, unknown> & {
  operationId: string;
  responses: Record<string, { headers?: unknown; content?: unknown }>;
};

/** The OpenAPI 3.1 document of all versions. */
export function buildDocument(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Flightdeck')
    .setDescription(APP.description)
    .setVersion(APP.version)
    .setOpenAPIVersion('3.1.0')
    .setLicense('MIT', '')
    .addBearerAuth(
      { type: 'http', description: 'An API key (fd_...), or a JWT of OIDC_ISSUER' },
      SECURITY_SCHEMES.bearer,
    )
    .addApiKey({ type: 'apiKey', in: 'header', name: 'X-API-Key' }, SECURITY_SCHEMES.api_key)
    .build();
  delete (config.info.license as { url?: string }).url;
  const document = SwaggerModule.createDocument(app, config, { autoTagControllers: false });
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods as Record<string, Operation>)) {
      if (!operation.operationId) continue;
      finish(path, operation, document);
      for (const status of refusalsOf(path, method)) operation.responses[status] ??= problemResponse(status);
      limit(operation);
    }
  }
  for (const schema of Object.values(document.components!.schemas!)) untypeAnyJson(schema as Schema);
  return document;
}

/** How requests can be refused before their route: parameters and bodies that cannot be read, whoever asks for them. */
function refusalsOf(path: string, method: string): HttpStatus[] {
  const hasBody = method !== 'get';
  return [
    HttpStatus.UNPROCESSABLE_ENTITY,
    ...(hasBody || path.includes('{') ? [HttpStatus.BAD_REQUEST] : []),
    ...(hasBody ? [HttpStatus.PAYLOAD_TOO_LARGE, HttpStatus.UNSUPPORTED_MEDIA_TYPE] : []),
  ];
}

/** How a caller is told that it has reached its limit. Every other answer tells how far that is: docs/operations.md. */
function limit(operation: Operation): void {
  const isLimited = operation[UNLIMITED] !== true;
  delete operation[UNLIMITED];
  if (!isLimited) return;
  operation.responses[HttpStatus.TOO_MANY_REQUESTS] ??= {
    ...problemResponse(HttpStatus.TOO_MANY_REQUESTS),
    headers: { 'Retry-After': { description: 'In seconds', schema: { type: 'string' } } },
  };
  // New work is refused in an overload, whatever it is.
  operation.responses[HttpStatus.SERVICE_UNAVAILABLE] ??= problemResponse(HttpStatus.SERVICE_UNAVAILABLE);
}

interface Schema {
  properties?: Record<string, { type?: unknown }>;
}

function untypeAnyJson({ properties = {} }: Schema): void {
  for (const property of Object.values(properties)) if (property.type === ANY_TYPE) delete property.type;
}

/** What differs by version: the name of the operation, which must be unique, and the shape of a list. */
function finish(path: string, operation: Operation, document: OpenAPIObject): void {
  const version = /^\/api\/(v\d+)\//.exec(path)?.[1];
  if (version) operation.operationId = `${operation.operationId}_${version}`;
  const item = operation[LIST_OF] as string | undefined;
  delete operation[LIST_OF];
  if (item === undefined) return;
  const ok = operation.responses['200']!;
  if (version) {
    ok.headers = Object.fromEntries(PAGE_HEADERS.map((name) => [name, { schema: { type: 'string' } }]));
    return;
  }
  const name = `${item.replace(/Response$/, '')}Page`;
  document.components!.schemas![name] ??= pageSchema(item);
  ok.content = { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } };
}

const pageSchema = (item: string) =>
  ({
    type: 'object',
    required: ['items', 'total', 'skip', 'limit', 'next_cursor'],
    properties: {
      items: { type: 'array', items: { $ref: `#/components/schemas/${item}` } },
      total: { type: ['integer', 'null'], description: 'null with count=none' },
      total_is_estimate: { type: 'boolean', description: 'Present and true when the total is an estimate' },
      skip: { type: 'integer' },
      limit: { type: 'integer' },
      next_cursor: { type: ['string', 'null'] },
    },
  }) as never;
