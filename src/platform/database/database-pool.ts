import pg from 'pg';
import type { Environment } from '../config/environment.js';
import { StartupError } from '../errors/startup-error.js';
import { EmbeddedDatabase } from './embedded/embedded-database.js';
import { GuardedClient, GuardedPool } from './guarded-client.js';

const OLDEST_POSTGRES = 140_000;

/** The way to the database, opened before the application and closed after it. */
export class DatabasePool {
  constructor(
    readonly pool: pg.Pool,
    readonly embedded: EmbeddedDatabase | null,
  ) {
    // A connection that breaks while idle is replaced by the pool; without a listener it would end the process.
    pool.on('error', () => undefined);
    // BullMQ listens once for each queue and worker.
    pool.setMaxListeners(0);
    pool.on('release', (_error, client) => endIfInTransaction(client));
  }

  /** Throws a StartupError when the database cannot be used. */
  static async open(environment: Environment): Promise<DatabasePool> {
    if (environment.is_embedded) return DatabasePool.embedded(await EmbeddedDatabase.open(environment.DATA_DIR));

    const pool = new GuardedPool({
      ...addressAndOptions(environment),
      max: environment.DATABASE_POOL_SIZE,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      application_name: 'flightdeck',
      // Several statements may be under way on one connection: see `GuardedClient.sendWithNext`.
      pipeline: true,
      Client: GuardedClient,
    });
    await assertUsable(pool).catch(async (error: Error) => {
      await pool.end();
      throw error;
    });
    return new DatabasePool(pool, null);
  }

  static embedded(database: EmbeddedDatabase): DatabasePool {
    const stream = () => database.connect();
    // pg's own type wants a TCP socket or a plain stream; it uses no more of it than EmbeddedSocket has.
    const config = { stream, max: 20, Client: GuardedClient } as unknown as pg.PoolConfig;
    return new DatabasePool(new GuardedPool(config), database);
  }

  async close(): Promise<void> {
    await this.pool.end();
    await this.embedded?.close();
  }
}

/** Settings of each connection. Those in the address come last, so they win; `pg` itself would take them alone. */
function addressAndOptions(environment: Environment): { connectionString: string; options: string } {
  const settings = {
    search_path: 'public,bullmq',
    // Our statements are short: compiling one for its estimated cost takes longer than running it.
    jit: 'off',
    // Of solid state disks. With the default of turning ones, plans made while a table is small read all of it.
    random_page_cost: '1.1',
    statement_timeout: environment.DATABASE_STATEMENT_TIMEOUT_MS,
    lock_timeout: environment.DATABASE_LOCK_TIMEOUT_MS,
    idle_in_transaction_session_timeout: environment.DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_MS,
  };
  const address = new URL(environment.DATABASE_URL);
  const given = address.searchParams.get('options');
  address.searchParams.delete('options');
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  return {
    connectionString: given === null ? environment.DATABASE_URL : address.href,
    options: [...options, given ?? ''].join(' ').trim(),
  };
}

async function assertUsable(pool: pg.Pool): Promise<void> {
  const { rows } = await pool
    .query<{ server_version_num: string }>('SHOW server_version_num')
    .catch((error: NodeJS.ErrnoException & { errors?: Error[] }) => {
      const reason = error.message || error.errors?.[0]?.message || error.code;
      throw new StartupError(`The database at DATABASE_URL cannot be reached: ${reason}.`);
    });
  const version = Number(rows[0]!.server_version_num);
  if (version < OLDEST_POSTGRES) {
    throw new StartupError(`The database is PostgreSQL ${Math.floor(version / 10_000)}; Flightdeck needs 14 or newer.`);
  }
}

/** Who releases a connection inside a transaction has forgotten it: the next one must not continue it. */
function endIfInTransaction(client: pg.PoolClient): void {
  const status = client.getTransactionStatus();
  if (status === 'T' || status === 'E') void client.end();
}
