import type { PoolClient } from 'pg';
import type { DataSourceOptions } from 'typeorm';
import type { DatabasePool } from './database-pool.js';
import { ReadableNames } from './naming-strategy.js';

type Connected = (error: Error | undefined, client?: PoolClient, release?: (error?: Error | boolean) => void) => void;

/** TypeORM on the shared pool: it may borrow connections, but ending the pool is not its business. */
export function dataSourceOptions(
  { pool }: DatabasePool,
  borrow: () => Promise<PoolClient> = () => pool.connect(),
): DataSourceOptions {
  class SharedPool {
    connect(callback: Connected): void {
      borrow().then(
        (client) => callback(undefined, client, (error) => client.release(error)),
        (error: Error) => callback(error),
      );
    }
    on(): this {
      return this;
    }
    end(callback: () => void): void {
      callback();
    }
  }
  return {
    type: 'postgres',
    driver: { Pool: SharedPool },
    installExtensions: false,
    synchronize: false,
    namingStrategy: new ReadableNames(),
    migrationsTableName: 'migrations',
    logging: false,
  };
}
