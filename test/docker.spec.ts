import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CORE_SCHEMA, load, loadAll, mergeTag } from 'js-yaml';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { environmentFields } from '../src/platform/config/read-environment.js';
import { eventually } from './support/eventually.js';
import { startTestApp, type TestApp } from './support/test-app.js';

interface Container {
  name: string;
  env: { name: string; value?: string }[];
  startupProbe: { httpGet: { path: string } };
  livenessProbe: { httpGet: { path: string } };
  readinessProbe?: { httpGet: { path: string } };
}
interface Manifest {
  kind: string;
  data: Record<string, string>;
  spec: { template: { spec: { containers: Container[] } } };
}

describe('the check of the Docker files', () => {
  let folder: string;

  const check = () =>
    new Promise<{ code: number; said: string[] }>((resolve) => {
      execFile(process.execPath, ['scripts/check-docker.mjs', folder], (error, _stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, said: stderr.split('\n').filter((line) => line !== '') }),
      );
    });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flightdeck-docker-'));
    await cp('docker', folder, { recursive: true });
    return () => rm(folder, { recursive: true, force: true });
  });

  it('finds nothing in the committed ones', async () => {
    expect(await check()).toEqual({ code: 0, said: [] });
  });

  it.each([
    ['Dockerfile', 'PORT=8000', 'PORTS=8000', 'PORTS is not in .env.example'],
    ['compose.yaml', 'ROLE: api', 'ROLL: api', 'ROLL is not in .env.example'],
    ['compose.yaml', 'DATABASE_POOL_SIZE: 20', 'DATABASE_POOL_SIZE: 40', 'all pools together are 120'],
    ['compose.yaml', 'stop_grace_period: 30s', 'stop_grace_period: 25s', 'not more than a stop takes (5 + 20)'],
    ['compose.yaml', 'SHUTDOWN_GRACE_SECONDS: 5', 'SHUTDOWN_GRACE_SECONDS: 2', 'that api-1 stops is noticed after 2 s'],
    ['compose.yaml', 'METRICS_PORT: 9464', 'METRICS_PORT: 9465', 'a worker is asked at METRICS_PORT'],
    ['compose.yaml', '8000/health/ready', '8000/health/steady', 'asks for /health/steady'],
    ['compose.yaml', '${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD}', '${POSTGRES_PASSWORD:-flightdeck}', 'a secret'],
    ['compose.yaml', '${SECRET_KEY:?set SECRET_KEY}', '${SECRET_KEY:-flightdeck}', 'a secret'],
    ['compose.yaml', './haproxy.cfg:', './nginx.conf:', 'there is no file ./nginx.conf'],
    ['compose.yaml', 'nofile: 65536', 'nofile: 1024', 'takes 20000 connections'],
    ['compose.yaml', "'127.0.0.1:8000:8000'", "'127.0.0.1:8000:80'", 'it listens on 8000'],
    ['compose.yaml', '  api-2:\n    <<: *api\n', '', 'there is no service api-2'],
    ['haproxy.cfg', '  server api-2 api-2:8000\n', '', 'backend api leads to api-1, but'],
    ['haproxy.cfg', 'api-1:8000 cookie', 'api-1:8080 cookie', 'api-1 does not listen on 8080'],
    ['haproxy.cfg', ' cookie api-2', '', 'a server without a cookie'],
    ['haproxy.cfg', 'fall 2', 'fall 5', 'when SHUTDOWN_GRACE_SECONDS are over'],
    ['haproxy.cfg', 'timeout server 75s', 'timeout server 30s', 'timeout server cuts long polls off'],
    ['haproxy.cfg', 'timeout tunnel 90s', 'timeout tunnel 15s', 'timeout tunnel cuts WebSockets off'],
    ['haproxy.cfg', 'GET /health/ready', 'GET /health', 'whether they are ready'],
    ['kubernetes/settings.yaml', 'LOG_LEVEL', 'LOGLEVEL', 'LOGLEVEL is not in .env.example'],
    ['kubernetes/settings.yaml', "SIZE: '10'", "SIZE: '20'", 'all pools together are 180'],
    ['kubernetes/settings.yaml', 'name: flightdeck\n', 'name: settings\n', 'there is no ConfigMap flightdeck'],
    ['kubernetes/api.yaml', 'name: ROLE', 'name: ROLL', 'ROLL is not in .env.example'],
    ['kubernetes/api.yaml', 'path: /health/ready', 'path: /health', 'readinessProbe should not ask for /health'],
    ['kubernetes/api.yaml', 'path: /health\n', 'path: /healthy\n', 'asks for /healthy, which does not exist'],
    ['kubernetes/api.yaml', "value: '8000'", "value: '8080'", 'it listens on 8080'],
    ['kubernetes/api.yaml', 'PeriodSeconds: 40', 'PeriodSeconds: 30', 'not more than a stop takes (10 + 20)'],
    ['kubernetes/settings.yaml', "GRACE_SECONDS: '10'", "GRACE_SECONDS: '4'", 'is over before others know'],
    ['kubernetes/api.yaml', 'targetPort: http', 'targetPort: web', 'the pods have no port web'],
    ['kubernetes/api.yaml', 'runAsNonRoot: true', 'runAsNonRoot: false', 'may run as root'],
    ['kubernetes/api.yaml', 'Filesystem: true', 'Filesystem: false', 'may write into its image'],
    ['kubernetes/api.yaml', 'image: flightdeck', 'image: flightdock', 'is none of kustomization.yaml'],
    ['kubernetes/worker.yaml', "prometheus.io/port: '9464'", "prometheus.io/port: '8000'", 'its metrics are at 9464'],
    ['kubernetes/worker.yaml', 'path: /metrics\n', 'path: /health\n', 'asks for /health, which does not exist'],
    [
      'kubernetes/worker.yaml',
      '    matchLabels: *budget-labels',
      '    matchLabels: { app: walker }',
      'its selector is of no pods',
    ],
    ['kubernetes/autoscaling.yaml', 'oldest_age_seconds\n', 'age_seconds\n', 'is not in docs/operations.md'],
    ['kubernetes/autoscaling.yaml', 'name: flightdeck-worker\n  min', 'name: worker\n  min', 'no Deployment worker'],
    ['kubernetes/autoscaling.yaml', 'maxReplicas: 4', 'maxReplicas: 6', 'all pools together are 110'],
    [
      'kubernetes/prometheus-adapter.yaml',
      'consumer_lag_seconds"',
      'lag_seconds"',
      'is not in prometheus-adapter.yaml',
    ],
    ['kubernetes/ingress.yaml', 'cookie-persistence', 'persistence', 'polling has no way back'],
    ['kubernetes/ingress.yaml', 'name: http\n', 'name: https\n', 'with the port https'],
    ['kubernetes/kustomization.yaml', '  - ingress.yaml\n', '', 'does not list ingress.yaml'],
  ])('finds in %s %j as %j', async (file, right, wrong, mistake) => {
    const text = await readFile(join(folder, file), 'utf8');
    expect(text).toContain(right);
    await writeFile(join(folder, file), text.replaceAll(right, wrong));

    const { code, said } = await check();

    expect(code).toBe(1);
    expect(said.join('\n')).toContain(mistake);
    for (const line of said) expect(line).toMatch(/^[\w.-]+[:,] /);
  });
});

describe('the Docker files', () => {
  let server: TestApp;
  let manifests: Manifest[];

  beforeAll(async () => {
    const files = ['settings', 'api', 'worker'].map((name) => `docker/kubernetes/${name}.yaml`);
    const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
    manifests = texts.flatMap((text) => loadAll(text, { schema: CORE_SCHEMA }) as Manifest[]);
    server = await startTestApp();
  });
  afterAll(() => server.close());

  it('set only variables that exist', async () => {
    const { services } = load(await readFile('docker/compose.yaml', 'utf8'), {
      schema: CORE_SCHEMA.withTags(mergeTag),
    }) as { services: Record<string, { build?: object; environment?: Record<string, unknown> }> };
    const composed = Object.values(services).flatMap(({ build, environment = {} }) =>
      build ? Object.keys(environment) : [],
    );
    const mapped = manifests.flatMap(({ kind, data }) => (kind === 'ConfigMap' ? Object.keys(data) : []));
    const set = manifests.flatMap(({ kind, spec }) =>
      kind === 'Deployment' ? spec.template.spec.containers.flatMap(({ env }) => env.map(({ name }) => name)) : [],
    );

    for (const names of [composed, mapped, set]) {
      expect(names.length).toBeGreaterThan(3);
      expect(environmentFields()).toEqual(expect.arrayContaining(names));
    }
  });

  it('probe paths of an api node that answer', async () => {
    const [api] = manifests
      .filter(({ kind }) => kind === 'Deployment')
      .flatMap(({ spec }) => spec.template.spec.containers)
      .filter(({ name }) => name === 'api');
    const paths = [api!.startupProbe, api!.livenessProbe, api!.readinessProbe!].map(({ httpGet }) => httpGet.path);

    for (const path of [...paths, '/metrics']) {
      await eventually(async () => expect([path, (await server.get(path)).status]).toEqual([path, 200]));
    }
  });
});
