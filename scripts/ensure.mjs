/** What must be true before anything runs: a Node that is new enough, the packages of the lock file, a fresh build. */
import { compile, isBuilt } from './compile.mjs';
import { install, isInstalled } from './install.mjs';
import { oneAtATime } from './one-at-a-time.mjs';
import { ROOT } from './root.mjs';

const OLDEST_NODE = [20, 19];

/** The packages of the repository, or those of a folder in it that has its own. */
export function ensureInstalled(folder = ROOT) {
  refuseOldNode();
  if (isInstalled(folder)) return;
  // Asked again: another process may have done it while we waited.
  oneAtATime(() => isInstalled(folder) || install(folder));
}

export function ensureBuilt() {
  if (isBuilt()) return;
  oneAtATime(() => {
    if (isBuilt()) return;
    console.error('Building');
    compile();
  });
}

function refuseOldNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return;
  console.error(`Flightdeck needs Node ${OLDEST_NODE.join('.')} or newer; this is ${process.versions.node}.`);
  process.exit(1);
}
