/**
 * `npm run bench`: measures a server in production's shape, on a private PostgreSQL and Redis, beside what its own packages
 * hold; `npm run bench -- --embedded` one on the embedded database.
 */
import { ensureBuilt, ensureInstalled } from './ensure.mjs';
import { inRoot } from './root.mjs';
import { runNode } from './run-command.mjs';
import { startServices } from './services.mjs';

const args = process.argv.slice(2);
const others = args.filter((argument) => argument !== '--embedded');

ensureInstalled();
ensureBuilt();
if (others.length < args.length) {
  process.exitCode = await runNode('dist/bench/embedded.js', others);
} else {
  ensureInstalled(inRoot('bench'));
  const services = await startServices();
  try {
    process.exitCode = await runNode('dist/bench/production.js', others, {
      ...process.env,
      BENCH_DATABASE_URL: services.databaseUrl,
      BENCH_REDIS_URL: services.redisUrl,
    });
  } finally {
    await services.stop();
  }
}
