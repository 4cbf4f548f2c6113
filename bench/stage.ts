import { createDatabase, connected, migrateDatabase } from './database.js';
import { fillTasks } from './fill.js';
import type { Scale } from './scale.js';
import { type Program, ServerProcess } from './server-process.js';

/** One process each, with as many connections. */
const POOL_SIZE = '20';

export interface Services {
  database_url: string;
  redis_url: string;
  /** Where our server's processor profile is to be put, if anywhere. */
  profile?: string;
}

/** The database and the servers that the measurements share; each starts when the first one asks for it. */
export class Stage {
  private readonly started = new Map<Program, Promise<ServerProcess>>();

  private constructor(
    readonly scale: Scale,
    private readonly services: Services,
    readonly database_url: string,
  ) {}

  /** With a filled database, and no server yet. */
  static async open(scale: Scale, services: Services): Promise<Stage> {
    const url = await createDatabase(services.database_url, 'flightdeck');
    await migrateDatabase(url);
    const begin = performance.now();
    await connected(url, (client) => fillTasks(client, scale.rows));
    console.log(`${scale.rows} tasks and their events in ${Math.round((performance.now() - begin) / 1000)} s`);
    return new Stage(scale, services, url);
  }

  ours(): Promise<ServerProcess> {
    const { profile } = this.services;
    const nodeOptions = profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`] : [];
    return this.once('flightdeck', () => this.flightdeck({}, { nodeOptions }));
  }

  bare(): Promise<ServerProcess> {
    const environment = { DATABASE_URL: this.database_url, DATABASE_POOL_SIZE: POOL_SIZE };
    return this.once('bare-postgres', () => ServerProcess.start('bare-postgres', environment));
  }

  dbos(): Promise<ServerProcess> {
    return this.once('dbos', async () => {
      const DATABASE_URL = await createDatabase(this.services.database_url, 'dbos');
      return ServerProcess.start('dbos', { DATABASE_URL, DATABASE_POOL_SIZE: POOL_SIZE });
    });
  }

  /** One more node, as it runs in production but for the log: a line for each request is more than the others write. */
  flightdeck(settings: NodeJS.ProcessEnv = {}, options?: Parameters<typeof ServerProcess.start>[2]) {
    const environment = {
      ENVIRONMENT: 'production',
      LOG_LEVEL: 'warning',
      DATABASE_URL: this.database_url,
      DATABASE_POOL_SIZE: POOL_SIZE,
      REDIS_URL: this.services.redis_url,
      ...settings,
    };
    return ServerProcess.start('flightdeck', environment, options);
  }

  /** Stops what was started, so that what is measured next is alone. */
  async clear(): Promise<void> {
    const servers = await Promise.all(this.started.values());
    this.started.clear();
    await Promise.all(servers.map((server) => server.stop()));
  }

  private once(program: Program, start: () => Promise<ServerProcess>): Promise<ServerProcess> {
    const known = this.started.get(program) ?? start();
    this.started.set(program, known);
    return known;
  }
}
