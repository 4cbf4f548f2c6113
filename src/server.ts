import { type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createApp } from './app.setup.js';
import { type AppExtras, AppModule } from './app.module.js';
import { Environment } from './platform/config/environment.js';
import { DatabasePool } from './platform/database/database-pool.js';
import { migrate } from './platform/database/migrate.js';
import { StartupError } from './platform/errors/startup-error.js';
import { assertCanListen, whyNotListening } from './platform/http/listening.js';
import { Log } from './platform/logging/logger.js';
import { assertRedisAnswers } from './platform/queues/redis.js';

export interface RunningServer {
  /** Where it listens; null for a worker. */
  url: string | null;
  /** Drains, then closes the database. */
  close: () => Promise<void>;
}

/** Opens the database, migrates it, and starts the part that ROLE names. Throws StartupError with the reason. */
export async function startServer(environment: Environment, extra: AppExtras = []): Promise<RunningServer> {
  if (environment.is_embedded && environment.ROLE !== 'all') {
    throw new StartupError(
      `ROLE=${environment.ROLE} needs DATABASE_URL: the embedded database is for one process, which does everything.`,
    );
  }
  // What is quickly found out comes first: a new embedded database takes seconds, and would be left behind.
  if (environment.serves_http) await assertCanListen(environment.host, environment.PORT);
  if (environment.REDIS_URL !== '') await assertRedisAnswers(environment.REDIS_URL);
  const pool = await DatabasePool.open(environment);
  try {
    await migrate(pool);
    const { app, url } = environment.serves_http
      ? await startApi(environment, pool, extra)
      : await startWorker(environment, pool, extra);
    return {
      url,
      close: async () => {
        await app.close();
        await pool.close();
      },
    };
  } catch (error) {
    await pool.close().catch(() => undefined);
    throw error;
  }
}

async function startApi(
  environment: Environment,
  pool: DatabasePool,
  extra: AppExtras,
): Promise<{ app: INestApplicationContext; url: string }> {
  const app = await createApp(environment, pool, extra);
  const { host, PORT } = environment;
  await app.listen({ port: PORT, host }).catch(async (error: NodeJS.ErrnoException) => {
    await app.close();
    throw whyNotListening(error, host, PORT);
  });
  const { port } = new URL(await app.getUrl());
  const shown = host === '127.0.0.1' || host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return { app, url: `http://${shown}:${port || '80'}` };
}

async function startWorker(
  environment: Environment,
  pool: DatabasePool,
  extra: AppExtras,
): Promise<{ app: INestApplicationContext; url: null }> {
  const app = await NestFactory.createApplicationContext(AppModule.with(environment, pool, extra), {
    logger: new Log(environment),
    abortOnError: false,
  });
  return { app, url: null };
}
