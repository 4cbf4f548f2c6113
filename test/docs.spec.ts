import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from './support/test-app.js';

const ASSET = /(?:src|href|spec-url)="([^"]+)"/g;

describe('the documentation', () => {
  let server: TestApp;

  beforeAll(async () => {
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it.each([
    ['/docs', 'text/html'],
    ['/docs/', 'text/html'],
    ['/docs/swagger-ui-bundle.js', 'javascript'],
    ['/docs/swagger-ui.css', 'text/css'],
    ['/docs/swagger-ui-init.js', 'javascript'],
    ['/redoc', 'text/html'],
    ['/redoc/', 'text/html'],
    ['/redoc/redoc.standalone.js', 'javascript'],
    ['/openapi.json', 'application/json'],
  ])('is served by us: %s', async (path, type) => {
    const { status, headers, body } = await server.get(path);

    expect(status).toBe(200);
    expect(headers['content-type']).toContain(type);
    expect(JSON.stringify(body).length).toBeGreaterThan(300);
  });

  it.each(['/docs', '/docs/', '/redoc', '/redoc/'])('needs no other host: %s', async (path) => {
    const { body } = await server.get<string>(path);
    const page = new URL(path, 'http://flightdeck.test');
    const assets = [...body.matchAll(ASSET)].map(([, asset]) => new URL(asset!, page));

    // The names of XML dialects are no addresses.
    expect(body.replace(/xmlns(:\w+)?="[^"]+"/g, '')).not.toMatch(/https?:\/\//);
    expect(assets.length).toBeGreaterThan(1);
    for (const { host, pathname } of assets) {
      expect(host).toBe('flightdeck.test');
      expect((await server.get(pathname)).status).toBe(200);
    }
  });

  it('has no script inside its pages, which our policy would stop', async () => {
    for (const path of ['/docs', '/redoc']) {
      const { body, headers } = await server.get<string>(path);

      expect(headers['content-security-policy']).toContain("script-src 'self';");
      expect(body).not.toMatch(/<script(?![^>]*\bsrc=)[^>]*>[^<]*\S/);
      expect(body).not.toMatch(/\son\w+=/);
    }
  });

  it('may ask nobody but us', async () => {
    const { headers } = await server.get('/docs');

    expect(headers['content-security-policy']).not.toContain('https:');
  });
});
