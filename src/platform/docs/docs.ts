import { SwaggerModule } from '@nestjs/swagger';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';
import { buildDocument } from './openapi.js';

const REDOC = createRequire(import.meta.url).resolve('redoc/bundles/redoc.standalone.js');

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
  let document: ReturnType<typeof buildDocument> | undefined;
  SwaggerModule.setup('docs', app, () => (document ??= buildDocument(app)), {
    raw: ['json'],
    jsonDocumentUrl: 'openapi.json',
    customSiteTitle: 'Flightdeck API',
    swaggerOptions: { docExpansion: 'none', operationsSorter: 'alpha' },
  });
  const fastify = app.getHttpAdapter().getInstance();
  fastify.get('/redoc', (_request, reply) => reply.type('text/html; charset=utf-8').send(REDOC_PAGE));
  fastify.get('/redoc/redoc.standalone.js', (_request, reply) =>
    reply
      .type('application/javascript; charset=utf-8')
      .header('Cache-Control', 'max-age=86400')
      .send(createReadStream(REDOC)),
  );
}
