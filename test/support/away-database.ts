import { EventEmitter } from 'node:events';
import { DatabasePool } from '../../src/platform/database/database-pool.js';
import type { TestApp } from './test-app.js';

/** What `pg` keeps to itself, and a test needs to pull the plug. */
interface Plugs {
  Client: unknown;
  _clients: { connection: { stream: { destroy: (error: Error) => void } } }[];
}

const refusal = (): Error =>
  Object.assign(new Error('connect ECONNREFUSED 10.0.0.7:5432'), { code: 'ECONNREFUSED', syscall: 'connect' });

/** As `pg.Client` where nothing listens. */
class RefusedClient extends EventEmitter {
  connect(callback: (error: Error) => void): void {
    setImmediate(callback, refusal());
  }

  end(): void {}
}

/** Breaks all connections to the database and refuses new ones, until the returned function lets them in again. */
export function takeDatabaseAway({ app }: TestApp): () => void {
  const plugs = app.get(DatabasePool).pool as unknown as Plugs;
  const { Client } = plugs;
  plugs.Client = RefusedClient;
  for (const { connection } of plugs._clients.slice()) connection.stream.destroy(refusal());
  return () => {
    plugs.Client = Client;
  };
}
