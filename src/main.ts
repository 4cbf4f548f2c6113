import 'reflect-metadata';
import { resolve } from 'node:path';
import type { Environment } from './platform/config/environment.js';
import { loadEnvironmentFile } from './platform/config/load-environment-file.js';
import { readServerEnvironment } from './platform/config/read-environment.js';
import { endWithReason } from './platform/errors/end-with-reason.js';
import { Log } from './platform/logging/logger.js';
import { APP } from './platform/config/app-info.js';
import { type RunningServer, startServer } from './server.js';

interface Greeting {
  headline: string;
  details: Record<string, string>;
}

function greeting({ is_embedded, DATA_DIR, REDIS_URL, ROLE }: Environment, url: string | null): Greeting {
  return {
    headline: `Flightdeck ${APP.version} is ready (${ROLE === 'all' ? 'API and worker' : ROLE}).`,
    details: {
      ...(url && { api: `${url}/api/v1`, docs: `${url}/docs  and  ${url}/redoc`, sockets: `${url}/socket.io` }),
      database: is_embedded ? `embedded PostgreSQL, in ${resolve(DATA_DIR)}` : 'PostgreSQL at DATABASE_URL',
      queue: REDIS_URL === '' ? 'BullMQ, in the database' : 'BullMQ, in Redis at REDIS_URL',
    },
  };
}

const NAMES: Record<string, string> = { api: 'API' };

/** As one JSON line where the log has these, so that nobody has to read two formats. */
function say(environment: Environment, { headline, details }: Greeting): void {
  if (environment.LOG_FORMAT === 'json') return new Log(environment).log(headline, details, 'Flightdeck');
  const named = Object.entries(details).map(([name, text]) => {
    const label = NAMES[name] ?? `${name[0]!.toUpperCase()}${name.slice(1)}`;
    return `  ${label.padEnd(10)}${text}`;
  });
  console.log([headline, ...named].join('\n'));
}

/** A terminal and npm may each pass on the same Ctrl-C. */
const SAME_SIGNAL_MS = 500;

/** The first signal drains and ends with 0; a second one ends at once. */
function stopOnSignal(server: RunningServer, environment: Environment): void {
  const { SHUTDOWN_GRACE_SECONDS, SHUTDOWN_TIMEOUT_SECONDS, serves_http } = environment;
  let stoppingSince: number | null = null;
  const stop = (signal: NodeJS.Signals): void => {
    if (stoppingSince !== null) {
      if (performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(130);
      return;
    }
    stoppingSince = performance.now();
    say(environment, { headline: `${signal}: finishing what is under way; once more to end at once.`, details: {} });
    setTimeout(
      () => {
        console.error('Not everything ended in time; leases and runs go on after the next start.');
        process.exit(0);
      },
      ((serves_http ? SHUTDOWN_GRACE_SECONDS : 0) + SHUTDOWN_TIMEOUT_SECONDS) * 1000,
    ).unref();
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
  const environment = readServerEnvironment(process.env);
  const server = await startServer(environment);
  stopOnSignal(server, environment);
  say(environment, greeting(environment, server.url));
} catch (error) {
  endWithReason(error);
}
