import { EventEmitter } from 'node:events';
import pg from 'pg';
import { openScope } from './transaction-scope.js';

/** A statement inside a unit of work went to another connection: it would miss the transaction, or wait for ever. */
export class QueryOutsideTransaction extends Error {
  constructor(statement: string) {
    super(`Inside a unit of work, but not through its tx: ${statement}`);
  }
}

/** A `pg` client that refuses statements which forgot the transaction they are in. */
export class GuardedClient extends pg.Client {
  private lastTurn: Promise<unknown> | null = null;
  private isHolding = false;

  // pg has a dozen overloads; all that matters here is the text, and whose turn it is.
  // oxlint-disable-next-line typescript/no-explicit-any
  override query(...args: any[]): any {
    const scope = openScope();
    if (scope && scope.client !== this) throw new QueryOutsideTransaction(statementText(args[0]));
    const send = () => (super.query as (...args: unknown[]) => unknown)(...args);
    if (this.pipeline) return this.withThoseBefore(send);
    const isPromised = typeof args.at(-1) !== 'function';
    // Also the COMMIT, when a strand did not wait for its last statement.
    return isPromised && (scope || this.lastTurn) ? this.inTurn(send as () => Promise<unknown>) : send();
  }

  /**
   * Sends the statement with the next one, so that the server is woken once for both. For those within a transaction that
   * has begun, and on whose results nothing more depends than whether it can be committed.
   */
  sendWithNext(query: pg.QueryConfig): Promise<pg.QueryResult> {
    if (!this.pipeline) return this.query(query) as Promise<pg.QueryResult>;
    if (!this.isHolding) this.connection.stream.cork();
    this.isHolding = true;
    return super.query(query);
  }

  /** Statements that `send` sends before it waits for anything wake the server once. */
  together<T>(send: () => T): T {
    if (!this.pipeline) return send();
    this.connection.stream.cork();
    try {
      return send();
    } finally {
      this.connection.stream.uncork();
    }
  }

  private withThoseBefore<T>(send: () => T): T {
    try {
      return send();
    } finally {
      if (this.isHolding) this.connection.stream.uncork();
      this.isHolding = false;
    }
  }

  /** Strands of one transaction may speak at the same time; without pipelining `pg` wants one after the other. */
  private inTurn(send: () => Promise<unknown>): Promise<unknown> {
    const result = this.lastTurn ? this.lastTurn.then(send) : send();
    const turn: Promise<unknown> = result
      .catch(() => undefined)
      .finally(() => {
        if (this.lastTurn === turn) this.lastTurn = null;
      });
    this.lastTurn = turn;
    return result;
  }
}

/**
 * A pool of them. Inside a unit of work it lends no connection, which might not come before the unit ends, but one that
 * refuses: so the mistake is named by its statement even when all connections are taken.
 */
export class GuardedPool extends pg.Pool {
  // oxlint-disable-next-line typescript/no-explicit-any
  override connect(callback?: any): any {
    if (!openScope()) return (super.connect as (callback?: unknown) => unknown)(callback);
    const client = new RefusingClient();
    return callback ? callback(undefined, client, client.release) : Promise.resolve(client);
  }
}

class RefusingClient extends EventEmitter {
  readonly release = (): void => undefined;

  query(query: unknown): never {
    throw new QueryOutsideTransaction(statementText(query));
  }
}

function statementText(query: unknown): string {
  const text = typeof query === 'string' ? query : (query as { text?: string }).text;
  return (text ?? 'unknown statement').trim().slice(0, 300);
}
