/** One short text that changes whenever a file changes that the build is made from. */
import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inRoot, ROOT } from './root.mjs';

const FOLDERS = ['client/src', 'src', 'migrations', 'demo', 'bench', 'test/faults'];
const SETTINGS = /^tsconfig.*\.json$|^package-lock\.json$/;

/**
 * Sizes and times of all files together, not "is any file newer": that would miss a removed file, and one that a
 * checkout or an unpacked archive put back with an older time.
 */
export function fingerprintOfSources() {
  const hash = createHash('sha256');
  for (const file of sourceFiles()) {
    const { size, mtimeMs } = statSync(inRoot(file));
    hash.update(`${file}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function sourceFiles() {
  const settings = readdirSync(ROOT).filter((name) => SETTINGS.test(name));
  return [...settings, 'client/tsconfig.json', ...FOLDERS.flatMap(filesIn)].sort((a, b) => (a < b ? -1 : 1));
}

function filesIn(folder) {
  return entriesOf(folder).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesIn(path);
    return entry.name.endsWith('.spec.ts') ? [] : [path];
  });
}

function entriesOf(folder) {
  try {
    return readdirSync(inRoot(folder), { withFileTypes: true });
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
}
