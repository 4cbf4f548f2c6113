import { SwaggerModule } from '@nestjs/swagger';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { RouteNotFound } from '../http/http.errors.js';
import { pathOf } from '../http/version.js';
import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';
import { buildDocument } from './openapi.js';

const REDOC = createRequire(import.meta.url).resolve('redoc/bundles/redoc.standalone.js');

/** What the page asks for; the package that it is in has more files, which are nobody's business. */
const SWAGGER_FILES = new Set([
  '',
  'index.css',
  'swagger-ui.css',
  'swagger-ui-bundle.js',
  'swagger-ui-standalone-preset.js',
  'swagger-ui-init.js',
  'favicon-16x16.png',
  'favicon-32x32.png',
]);

const REDOC_PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Flightdeck API</title>
    <style>body { margin: 0 }</style>
  </head>
  <body>
    <redoc spec-url="/openapi.json"></redoc>
    <script src="/redoc/redoc.standalone.js"></script>
  </body>
</html>
`;

/** `/docs` (Swagger UI), `/redoc` and `/openapi.json`. All scripts come from packages, so they work offline. */
export function serveDocs(app: NestFastifyApplication): void {
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRequest', (request, _reply, done) => {
    const file = request.routeOptions.url === '/docs/*' ? (request.params as { '*': string })['*'] : '';
    done(SWAGGER_FILES.has(file) ? undefined : new RouteNotFound(request.method, pathOf(request.url)));
  });
  let document: ReturnType<typeof buildDocument> | undefined;
  SwaggerModule.setup('docs', app, () => (document ??= buildDocument(app)), {
    raw: ['json'],
    jsonDocumentUrl: 'openapi.json',
    customSiteTitle: 'Flightdeck API',
    swaggerOptions: { docExpansion: 'none', operationsSorter: 'alpha' },
  });
  fastify.get('/redoc', (_request, reply) => reply.type('text/html; charset=utf-8').send(REDOC_PAGE));
  fastify.get('/redoc/redoc.standalone.js', (_request, reply) =>
    reply
      .type('application/javascript; charset=utf-8')
      .header('Cache-Control', 'max-age=86400')
      .send(createReadStream(REDOC)),
  );
}
