/**
 * Compiles the client, then what uses it. Each beside its `dist`, whose place it takes when complete: a build that fails or
 * is killed leaves the last good one.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inRoot, ROOT } from './root.mjs';
import { fingerprintOfSources } from './sources.mjs';

const DIST = inRoot('dist');
const CLIENT_DIST = inRoot('client', 'dist');
const STAMP = '.built';

export function isBuilt() {
  try {
    return existsSync(CLIENT_DIST) && readFileSync(inRoot('dist', STAMP), 'utf8') === fingerprintOfSources();
  } catch {
    return false;
  }
}

export function compile() {
  // Taken before: a file that is saved during the build makes the next start build again.
  const fingerprint = fingerprintOfSources();
  compileTo(CLIENT_DIST, 'client/tsconfig.json');
  compileTo(DIST, 'tsconfig.build.json', (folder) => writeFileSync(join(folder, STAMP), fingerprint));
}

function compileTo(dist, settings, finish = () => {}) {
  const [fresh, former] = [`${dist}.new`, `${dist}.former`];
  remove(fresh);
  const tsc = ['node_modules/typescript/bin/tsc', '-p', settings, '--outDir', fresh];
  const { status } = spawnSync(process.execPath, tsc, { cwd: ROOT, stdio: ['ignore', 2, 2] });
  if (status !== 0) {
    remove(fresh);
    console.error('Flightdeck does not compile: see above.');
    process.exit(1);
  }
  finish(fresh);

  remove(former);
  moveAway(dist, former);
  renameSync(fresh, dist);
  remove(former);
}

function moveAway(folder, former) {
  try {
    renameSync(folder, former);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}

function remove(folder) {
  rmSync(folder, { recursive: true, force: true });
}
