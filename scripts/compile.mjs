/** Compiles beside `dist` and takes its place when complete: a build that fails or is killed leaves the last good one. */
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { inRoot, ROOT } from './root.mjs';
import { fingerprintOfSources } from './sources.mjs';

const DIST = inRoot('dist');
const NEW = inRoot('dist.new');
const FORMER = inRoot('dist.former');
const STAMP = '.built';

export function isBuilt() {
  try {
    return readFileSync(inRoot('dist', STAMP), 'utf8') === fingerprintOfSources();
  } catch {
    return false;
  }
}

export function compile() {
  remove(NEW);
  // Taken before: a file that is saved during the build makes the next start build again.
  const fingerprint = fingerprintOfSources();
  const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', 'dist.new'];
  const { status } = spawnSync(process.execPath, tsc, { cwd: ROOT, stdio: ['ignore', 2, 2] });
  if (status !== 0) {
    remove(NEW);
    console.error('Flightdeck does not compile: see above.');
    process.exit(1);
  }
  writeFileSync(inRoot('dist.new', STAMP), fingerprint);

  remove(FORMER);
  moveAway(DIST);
  renameSync(NEW, DIST);
  remove(FORMER);
}

function moveAway(folder) {
  try {
    renameSync(folder, FORMER);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}

function remove(folder) {
  rmSync(folder, { recursive: true, force: true });
}
