import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Cleanup } from './cleanup.js';
import { Display } from './display.js';
import { startFleet } from './fleet.js';
import { REPORT_NAME } from './report.js';
import { runDemo } from './run-demo.js';
import { isReady, type RunningServer, startServer } from './server.js';

const DEFAULT_URL = 'http://localhost:8000';
const DEFAULT_FOLDER = fileURLToPath(new URL('../../src', import.meta.url));
const USAGE = 'Usage: npm run demo [-- folder] [--no-crash]';

const display = new Display();
const cleanup = new Cleanup();

const interruption = new Promise<never>((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // Stays, as npm passes on what the terminal has sent already.
    process.on(signal, () => reject(new Error('Interrupted.')));
  }
});

try {
  await Promise.race([main(), interruption]);
} catch (error) {
  display.finish();
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
await cleanup.run();
// Whatever was interrupted may still be waiting for something.
process.exit();

async function main(): Promise<void> {
  const { folder, mayCrash } = readArguments();
  const server = await findServer();
  // Names of this run only: agents of another demo must not take its tasks.
  const suffix = Date.now().toString(36);
  const types = { scanner: `demo_scanner_${suffix}`, analyst: `demo_analyst_${suffix}` };
  const say = (text: string) => display.say(text);
  const fleet = await Promise.race([startFleet(cleanup, { url: server.url, types, mayCrash, say }), server.failure]);
  display.say(`A scanner and two analysts are at work on ${folder}`);
  const name = `Report on a folder (demo ${suffix})`;
  const reportPath = resolve(REPORT_NAME);
  const run = runDemo(cleanup, { url: server.url, types, name, folder, reportPath, display, fleet, mayCrash });
  await Promise.race([run, server.failure, fleet.failure]);
}

function readArguments(): { folder: string; mayCrash: boolean } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { 'no-crash': { type: 'boolean', default: false } },
    });
    if (positionals.length > 1) throw new Error('One folder at a time');
    // npm runs scripts where package.json is, not where it was called.
    const [given] = positionals;
    const folder = given === undefined ? DEFAULT_FOLDER : resolve(process.env.INIT_CWD ?? '.', given);
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw new Error(`There is no folder ${folder}`);
    return { folder, mayCrash: !values['no-crash'] };
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`, { cause: error });
  }
}

async function findServer(): Promise<RunningServer> {
  const url = (process.env.FLIGHTDECK_URL ?? DEFAULT_URL).replace(/\/+$/, '');
  if (await isReady(url)) {
    display.say(`Using the server at ${url}`);
    return { url, failure: new Promise(() => undefined) };
  }
  display.say(`No server answers at ${url}: starting one`);
  return startServer(cleanup);
}
