/** Runs a file of the build as if it had been started by itself: `node scripts/run-built.mjs demo/main.js --fast`. */
import { pathToFileURL } from 'node:url';
import { ensureBuilt, ensureInstalled } from './ensure.mjs';
import { inRoot } from './root.mjs';

const [file, ...args] = process.argv.slice(2);
if (!file) {
  console.error('Usage: node scripts/run-built.mjs <file under dist> [arguments]');
  process.exit(1);
}

ensureInstalled();
ensureBuilt();
const built = inRoot('dist', file);
process.argv = [process.execPath, built, ...args];
await import(pathToFileURL(built).href);
