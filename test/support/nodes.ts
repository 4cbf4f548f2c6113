import type { DynamicModule } from '@nestjs/common';
import { createApp } from '../../src/app.setup.js';
import { Environment } from '../../src/platform/config/environment.js';
import { DatabasePool } from '../../src/platform/database/database-pool.js';
import { openTestDatabase, TestApp } from './test-app.js';

/** Several servers on one database: each with connections of its own, where the database is a real server. */
export class Nodes {
  private running: TestApp[] = [];

  private constructor(
    private readonly environment: Environment,
    private readonly pool: DatabasePool,
    private readonly dispose: () => Promise<void>,
  ) {}

  static async prepare(settings: Partial<Environment> = {}): Promise<Nodes> {
    const defaults = { ENVIRONMENT: 'test', LOG_LEVEL: 'error', REDIS_URL: process.env.TEST_REDIS_URL ?? '' };
    const environment = Object.assign(new Environment(), defaults, settings);
    const { pool, dispose } = await openTestDatabase(environment);
    return new Nodes(environment, pool, dispose);
  }

  /** Of the database server, where it is one. */
  get url(): string {
    return this.environment.DATABASE_URL;
  }

  get database(): string {
    return new URL(this.url).pathname.slice(1);
  }

  async start(extra: DynamicModule[] = [], settings: Partial<Environment> = {}): Promise<TestApp> {
    const environment = Object.assign(new Environment(), this.environment, settings);
    const own = this.pool.embedded ? this.pool : await DatabasePool.open(environment);
    const app = await createApp(environment, own, extra);
    const node = new TestApp(app, environment, async () => {
      if (own !== this.pool) await own.close();
    });
    await app.init().catch(async (error: Error) => {
      await node.close();
      throw error;
    });
    this.running.push(node);
    return node;
  }

  async stop(node: TestApp): Promise<void> {
    this.running = this.running.filter((other) => other !== node);
    await node.close();
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.running.map((node) => this.stop(node)));
  }

  async close(): Promise<void> {
    await this.stopAll();
    await this.dispose();
  }
}
