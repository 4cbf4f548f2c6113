import pg from 'pg';
import { encodePosition, type Position } from '../../src/platform/events/position.js';
import { ServerProcess } from './server-process.js';

interface Size {
  api: number;
  worker: number;
  settings?: NodeJS.ProcessEnv;
}

/** Server processes on one database of their own, as a deployment has them. Needs TEST_DATABASE_URL. */
export class Cluster {
  private readonly pool: pg.Pool;

  private constructor(
    readonly apis: ServerProcess[],
    readonly workers: ServerProcess[],
  ) {
    this.pool = new pg.Pool({ connectionString: this.nodes[0]!.environment.DATABASE_URL, max: 2 });
    // What is left when the database is dropped.
    this.pool.on('error', () => undefined);
  }

  static async start({ api, worker, settings = {} }: Size): Promise<Cluster> {
    // Sweeps every second, so that tests of them are short.
    const common = { LOG_LEVEL: 'warning', SWEEP_EVERY_SECONDS: '1', ...settings };
    const first = await ServerProcess.prepare({ ...common, ROLE: 'api' });
    const { DATABASE_URL } = first.environment;
    const more = (ROLE: string, count: number) =>
      Promise.all(Array.from({ length: count }, () => ServerProcess.prepare({ ...common, ROLE, DATABASE_URL })));
    const cluster = new Cluster([first, ...(await more('api', api - 1))], await more('worker', worker));
    await Promise.all(cluster.nodes.map((node) => node.start())).catch(async (error: Error) => {
      await cluster.dispose();
      throw error;
    });
    return cluster;
  }

  get nodes(): ServerProcess[] {
    return [...this.apis, ...this.workers];
  }

  async query<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.pool.query<Row>(sql, values)).rows;
  }

  /** What the log holds, in its order, each as `type position`. */
  async log(condition: string, values: unknown[] = []): Promise<string[]> {
    const events = await this.query<Position & { type: string }>(
      `SELECT type, txid::text, seq::text FROM events WHERE ${condition} ORDER BY events.txid, events.seq`,
      values,
    );
    return events.map((event) => `${event.type} ${encodePosition(event)}`);
  }

  async dispose(): Promise<void> {
    await this.pool.end();
    // The first one owns the database.
    const [first, ...others] = this.nodes;
    await Promise.all(others.map((node) => node.dispose()));
    await first!.dispose();
  }
}
