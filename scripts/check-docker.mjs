/** Finds the mistakes in the Docker files that can be found without a Docker engine: names that point to nothing. */
import { existsSync, readFileSync } from 'node:fs';
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml';
import { inRoot } from './root.mjs';

const read = (file) => readFileSync(inRoot(file), 'utf8');
const mistakes = [...mistakesInDockerfile(), ...mistakesInCompose()];

for (const mistake of mistakes) console.error(mistake);
process.exitCode = mistakes.length === 0 ? 0 : 1;

function mistakesInDockerfile() {
  const admitted = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, name]) => name);
  const isAdmitted = (source) => admitted.some((name) => source === name || source.startsWith(`${name}/`));
  const known = knownVariables();
  const lines = read('docker/Dockerfile')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  const stages = new Set(lines.map((line) => / AS (\S+)$/.exec(line)?.[1]));

  return lines.flatMap((line) => {
    const [instruction, ...words] = line.split(/\s+/);
    if (instruction === 'ENV') {
      const names = words.map((word) => word.split('=', 1)[0]).filter((name) => name !== 'NODE_ENV');
      return names.filter((name) => !known.has(name)).map((name) => `Dockerfile: ${name} is not in .env.example`);
    }
    if (instruction !== 'COPY') return [];

    const stage = /--from=(\S+)/.exec(line)?.[1];
    if (stage) return stages.has(stage) ? [] : [`Dockerfile: there is no stage ${stage}`];
    const sources = words.filter((word) => !word.startsWith('--')).slice(0, -1);
    return sources.flatMap((source) => [
      ...(existsSync(inRoot(source)) ? [] : [`Dockerfile: ${source} does not exist`]),
      ...(isAdmitted(source) ? [] : [`.dockerignore: keeps ${source} from the Dockerfile`]),
    ]);
  });
}

function mistakesInCompose() {
  const { services, volumes = {} } = load(read('docker/compose.yaml'), { schema: CORE_SCHEMA.withTags(mergeTag) });
  const known = knownVariables();

  return Object.entries(services).flatMap(([name, service]) => {
    const variables = service.build ? namesIn(service.environment) : [];
    const named = (service.volumes ?? []).map((volume) => volume.split(':')[0]).filter((source) => /^\w/.test(source));
    return [
      ...variables.filter((variable) => !known.has(variable)).map((variable) => `${variable} is not in .env.example`),
      ...namesIn(service.depends_on).flatMap((other) => mistakesInDependency(other, service, services)),
      ...named.filter((volume) => !(volume in volumes)).map((volume) => `there is no volume ${volume}`),
      ...(service.build && !existsSync(inRoot('docker', service.build.context, service.build.dockerfile))
        ? [`${service.build.dockerfile} does not exist`]
        : []),
    ].map((mistake) => `compose.yaml, ${name}: ${mistake}`);
  });
}

function mistakesInDependency(other, service, services) {
  if (!services[other]) return [`there is no service ${other}`];
  const waitsForHealth = service.depends_on[other]?.condition === 'service_healthy';
  // The image of a service that we build has a health check of its own.
  const hasCheck = services[other].healthcheck ? !services[other].healthcheck.disable : Boolean(services[other].build);
  return waitsForHealth && !hasCheck ? [`waits for the health of ${other}, which has no health check`] : [];
}

/** Compose accepts a mapping, a list of NAME=value and a list of names. */
function namesIn(section = {}) {
  return Array.isArray(section) ? section.map((entry) => entry.split('=', 1)[0]) : Object.keys(section);
}

function knownVariables() {
  return new Set([...read('.env.example').matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name));
}
