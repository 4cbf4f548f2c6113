import { createDatabase, connected, migrateDatabase } from './database.js';
import { fillTasks } from './fill.js';
import type { Scale } from './scale.js';
import { type Program, ServerProcess } from './server-process.js';

/** One process each, with as many connections. */
const POOL_SIZE = '20';

export interface Services {
  database_url: string;
  redis_url: string;
}

export interface StageOptions {
  /** Where our server's processor profile is to be put, if anywhere. */
  profile?: string;
  /** Whether plans are shown in full. */
  explain: boolean;
}

/** The database and the servers that the measurements share; each starts when the first one asks for it. */
export class Stage {
  readonly notes: string[] = [];
  hasAlarm = false;
  private readonly started = new Map<Program, Promise<ServerProcess>>();

  private constructor(
    readonly scale: Scale,
    private readonly services: Services,
    private readonly options: StageOptions,
    readonly database_url: string,
  ) {}

  get redis_url(): string {
    return this.services.redis_url;
  }

  get showsPlans(): boolean {
    return this.options.explain;
  }

  /** With a filled database, and no server yet. */
  static async open(scale: Scale, services: Services, options: StageOptions): Promise<Stage> {
    const url = await createDatabase(services.database_url, 'flightdeck');
    await migrateDatabase(url);
    await connected(url, (client) => fillTasks(client, scale.rows));
    return new Stage(scale, services, options, url);
  }

  ours(): Promise<ServerProcess> {
    const { profile } = this.options;
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
      const environment = { DATABASE_URL, DATABASE_POOL_SIZE: POOL_SIZE };
      // It uses its connections as a later `pg` will not let it: once told is enough, and not here.
      return ServerProcess.start('dbos', environment, { nodeOptions: ['--no-deprecation'] });
    });
  }

  /**
   * One more node, as it runs in production but for the log (a line for each request is more than the others write) and
   * for credentials, which production asks for.
   */
  flightdeck(settings: NodeJS.ProcessEnv = {}, options?: Parameters<typeof ServerProcess.start>[2]) {
    const environment = {
      ENVIRONMENT: 'development',
      AUTH_MODE: 'off',
      LOG_FORMAT: 'json',
      LOG_LEVEL: 'warning',
      // All that asks here has one address, and nobody else has limits.
      ENABLE_RATE_LIMITING: 'false',
      // What is asked again and again would be measured once.
      ENABLE_CACHING: 'false',
      DATABASE_URL: this.database_url,
      DATABASE_POOL_SIZE: POOL_SIZE,
      REDIS_URL: this.services.redis_url,
      ...settings,
    };
    return ServerProcess.start('flightdeck', environment, options);
  }

  /** To be told after the table. */
  note(text: string): void {
    this.notes.push(text);
  }

  /** Something that is wrong however fast it is: the run fails. */
  alarm(text: string): void {
    this.note(text);
    this.hasAlarm = true;
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
