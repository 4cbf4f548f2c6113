import 'reflect-metadata';
import { resolve } from 'node:path';
import type { Environment } from './platform/config/environment.js';
import { loadEnvironmentFile } from './platform/config/load-environment-file.js';
import { readEnvironment } from './platform/config/read-environment.js';
import { endWithReason } from './platform/errors/end-with-reason.js';
import { APP } from './platform/config/app-info.js';
import { type RunningServer, startServer } from './server.js';

function greeting({ is_embedded, DATA_DIR, REDIS_URL, ROLE }: Environment, url: string | null): string {
  const data = is_embedded ? `embedded PostgreSQL, in ${resolve(DATA_DIR)}` : 'PostgreSQL at DATABASE_URL';
  const queue = REDIS_URL === '' ? 'BullMQ, in the database' : 'BullMQ, in Redis at REDIS_URL';
  const addresses = url
    ? [`  API       ${url}/api/v1`, `  Docs      ${url}/docs  and  ${url}/redoc`, `  Sockets   ${url}/socket.io`]
    : [];
  return [
    `Flightdeck ${APP.version} is ready (${ROLE === 'all' ? 'API and worker' : ROLE}).`,
    ...addresses,
    `  Database  ${data}`,
    `  Queue     ${queue}`,
  ].join('\n');
}

/** A terminal and npm may each pass on the same Ctrl-C. */
const SAME_SIGNAL_MS = 500;

/** The first signal drains and ends with 0; a second one ends at once. */
function stopOnSignal(server: RunningServer, { SHUTDOWN_TIMEOUT_SECONDS }: Environment): void {
  let stoppingSince: number | null = null;
  const stop = (signal: NodeJS.Signals): void => {
    if (stoppingSince !== null) {
      if (performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(130);
      return;
    }
    stoppingSince = performance.now();
    console.log(`${signal}: finishing what is under way; once more to end at once.`);
    setTimeout(() => {
      console.error('Not everything ended in time; leases and runs go on after the next start.');
      process.exit(0);
    }, SHUTDOWN_TIMEOUT_SECONDS * 1000).unref();
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

try {
  loadEnvironmentFile();
  const environment = readEnvironment(process.env);
  const server = await startServer(environment);
  stopOnSignal(server, environment);
  console.log(greeting(environment, server.url));
} catch (error) {
  endWithReason(error);
}
