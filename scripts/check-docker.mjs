/**
 * Finds the mistakes in the files of docker/ that can be found without a Docker engine or a cluster: names that point to
 * nothing, ports and times that do not fit each other. `check-docker.mjs FOLDER` looks at a copy elsewhere.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mistakesInBalancer, mistakesInCompose } from './docker/compose-mistakes.mjs';
import { mistakesInKubernetes } from './docker/kubernetes-mistakes.mjs';
import { isKnownVariable, readDocker } from './docker/read-docker.mjs';
import { inRoot } from './root.mjs';

const docker = readDocker(process.argv[2] ?? inRoot('docker'));
const mistakes = [
  ...mistakesInDockerfile(docker),
  ...mistakesInCompose(docker),
  ...mistakesInBalancer(docker),
  ...mistakesInKubernetes(docker),
];

for (const mistake of mistakes) console.error(mistake);
process.exitCode = mistakes.length === 0 ? 0 : 1;

function mistakesInDockerfile({ dockerfile }) {
  const ignored = readFileSync(inRoot('.dockerignore'), 'utf8');
  const admitted = [...ignored.matchAll(/^!(.+)$/gm)].map(([, name]) => name);
  const isAdmitted = (source) => admitted.some((name) => source === name || source.startsWith(`${name}/`));
  const lines = dockerfile.split('\n');
  const stages = new Set(lines.map((line) => / AS (\S+)$/.exec(line)?.[1]));

  return lines.flatMap((line) => {
    const [instruction, ...words] = line.split(/\s+/);
    if (instruction === 'ENV') {
      const names = words.map((word) => word.split('=', 1)[0]);
      return names.filter((name) => !isKnownVariable(name)).map((name) => `Dockerfile: ${name} is not in .env.example`);
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
