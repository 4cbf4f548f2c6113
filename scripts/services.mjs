/**
 * A private PostgreSQL and Redis for tests and benchmarks: `node scripts/services.mjs -- npm test` starts both, runs the
 * command with TEST_DATABASE_URL and TEST_REDIS_URL, and stops both. Installs them on Debian when they are missing.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { realpathSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ROOT } from './root.mjs';
import { runCommand } from './run-command.mjs';

/**
 * The servers belong to a process of their own that stops them when the pipe from us closes: so they end with us even
 * when we are killed, and a Ctrl-C for the command does not take its database away.
 */
export async function startServices() {
  const host = spawn(process.execPath, ['scripts/services-host.mjs'], {
    cwd: ROOT,
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(host, 'exit');
  host.stdin.on('error', () => {});

  const [line] = await Promise.race([once(createInterface({ input: host.stdout }), 'line'), ended]);
  if (typeof line !== 'string') throw new Error('PostgreSQL and Redis could not be started: see above.');
  const { database_url, redis_url } = JSON.parse(line);

  return {
    databaseUrl: database_url,
    redisUrl: redis_url,
    async stop() {
      host.stdin.end();
      await ended;
    },
  };
}

async function main() {
  const [separator, command, ...args] = process.argv.slice(2);
  if (separator !== '--' || !command) {
    console.error('Usage: node scripts/services.mjs -- <command> [arguments]');
    process.exit(1);
  }
  const services = await startServices();
  try {
    process.exitCode = await runCommand(command, args, {
      ...process.env,
      TEST_DATABASE_URL: services.databaseUrl,
      TEST_REDIS_URL: services.redisUrl,
    });
  } finally {
    await services.stop();
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url))) {
  await main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
