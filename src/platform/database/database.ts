import { Injectable } from '@nestjs/common';
import type { Pool, QueryResultRow } from 'pg';
import { DataSource, type EntityManager } from 'typeorm';
import { DatabasePool } from './database-pool.js';
import { openScope } from './transaction-scope.js';

/** A statement with a name, so that `pg` prepares it once per connection. The name must be unique to the text. */
export interface NamedStatement {
  readonly name: string;
  readonly text: string;
}

export const statement = (name: string, text: string): NamedStatement => ({ name, text });

/** Where services read: through the unit of work they are in, else through any connection. */
@Injectable()
export class Database {
  readonly pool: Pool;
  readonly is_embedded: boolean;

  constructor(
    private readonly dataSource: DataSource,
    { pool, embedded }: DatabasePool,
  ) {
    this.pool = pool;
    this.is_embedded = embedded !== null;
  }

  get manager(): EntityManager {
    return openScope()?.transaction.manager ?? this.dataSource.manager;
  }

  async query<Row extends QueryResultRow>(query: NamedStatement | string, values: unknown[] = []): Promise<Row[]> {
    const connection = openScope()?.client ?? this.pool;
    const config = typeof query === 'string' ? { text: query, values } : { ...query, values };
    return (await connection.query<Row>(config)).rows;
  }

  /** Only within a unit of work: see `Transaction.send`. */
  send(query: NamedStatement, values: unknown[]): void {
    const scope = openScope();
    if (!scope) throw new Error(`Only within a unit of work: ${query.name}`);
    scope.transaction.send(query, values);
  }
}
