/** `npm run dev`: compiles what is saved and starts the server again. When one of the two ends, so does the other. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { ensureBuilt, ensureInstalled } from './ensure.mjs';
import { ROOT } from './root.mjs';

ensureInstalled();
ensureBuilt();

const start = (args) => spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
const children = [
  start(['node_modules/typescript/bin/tsc', '--watch', '--preserveWatchOutput', '-p', 'tsconfig.build.json']),
  start(['--watch', '--watch-preserve-output', 'dist/src/main.js']),
];

const stop = () => children.forEach((child) => child.kill('SIGTERM'));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);

const ended = children.map((child) => once(child, 'exit'));
await Promise.race(ended);
stop();
await Promise.all(ended);
