/** The Docker and Kubernetes files as data, and what they may speak of. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CORE_SCHEMA, load, loadAll, mergeTag } from 'js-yaml';
import { inRoot } from '../root.mjs';

/** Values for a Helm chart, and what kustomize reads: no objects of Kubernetes. */
const NO_OBJECTS = ['kustomization.yaml', 'prometheus-adapter.yaml'];

export function readDocker(folder) {
  const text = (name) => readFileSync(join(folder, name), 'utf8');
  const yaml = (name) => load(text(name), { schema: CORE_SCHEMA.withTags(mergeTag) });
  const manifests = readdirSync(join(folder, 'kubernetes')).filter((name) => name.endsWith('.yaml'));
  const objects = manifests
    .filter((name) => !NO_OBJECTS.includes(name))
    .flatMap((file) =>
      loadAll(text(`kubernetes/${file}`), { schema: CORE_SCHEMA }).map((object) => ({ file, ...object })),
    );
  return {
    dockerfile: text('Dockerfile').replaceAll(/\\\n\s*/g, ''),
    compose: yaml('compose.yaml'),
    balancer: text('haproxy.cfg'),
    objects,
    manifests,
    kustomization: yaml('kubernetes/kustomization.yaml'),
    adapter: yaml('kubernetes/prometheus-adapter.yaml'),
    has: (name) => existsSync(join(folder, name)),
  };
}

const read = (file) => readFileSync(inRoot(file), 'utf8');

/** Every variable of Environment with its default: .env.example lists them, which a test holds. */
export const VARIABLES = new Map(
  [...read('.env.example').matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
);

/** Variables of others that the image may set. */
export const isKnownVariable = (name) => VARIABLES.has(name) || name === 'NODE_ENV' || name === 'NODE_OPTIONS';

/** What answers a GET: the documented paths, and the metrics, which are for no client. */
export const PATHS = new Set([
  ...Object.entries(JSON.parse(read('openapi.json')).paths)
    .filter(([, methods]) => 'get' in methods)
    .map(([path]) => path),
  '/metrics',
]);

export const METRICS = new Set(
  [...read('docs/operations.md').matchAll(/`(flightdeck_\w+)[{`]/g)].map(([, name]) => name),
);

/** What PostgreSQL allows unless it is told otherwise, without those that it keeps for superusers. */
export const MOST_CONNECTIONS = 100 - 3;

/** 30s, 1m, 1m30s. */
export function secondsOf(duration = '10s') {
  const parts = [...duration.matchAll(/(\d+)(m|s)/g)];
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unit === 'm' ? 60 : 1), 0);
}
