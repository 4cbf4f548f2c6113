import { Injectable, Logger } from '@nestjs/common';
import type { QueryResult } from 'pg';
import { DataSource, type EntityManager, type QueryRunner } from 'typeorm';
import { continueIn, currentContext, type RequestContext } from '../context/request-context.js';
import type { Changed, Changes } from '../context/request-trace.js';
import type { DomainEvent } from '../events/domain-event.js';
import { eventRows, LOG_EVENTS, recorded, type RecordedEvent } from '../events/event-rows.js';
import { EventHandlers } from '../events/handlers.js';
import { CommitSignal } from '../events/commit-signal.js';
import type { NamedStatement } from './database.js';
import { isAnswer, sqlStateOf } from './database-error.js';
import type { GuardedClient } from './guarded-client.js';
import { openScope, type TransactionScope, transactionScope } from './transaction-scope.js';
import { tryAgain } from './try-again.js';

/** One transaction: rows through `manager`, what happened through `record`. */
export interface Transaction {
  readonly manager: EntityManager;
  /** Does a statement of which nobody needs the result; it goes to the database with the next one. Its error fails all. */
  send(statement: NamedStatement, values: unknown[]): void;
  /** The same, just before the commit: for rows that many transactions want, so that none holds them for long. */
  sendLast(statement: NamedStatement, values: unknown[]): void;
  /** Logs the event with this transaction, after the `@Within` handlers of other domains have had their say. */
  record(event: DomainEvent): void;
  /** Like `record`, but the handlers run at once: for what they must do before the next statement. */
  announce(event: DomainEvent): Promise<void>;
  /** Runs once all that was recorded so far has been handled; what it records itself is handled after it. */
  whenHandled(action: () => Promise<void>): void;
  /** Tells the audit of the request which fields differ; events tell what happened, and what may be large by name only. */
  changed(kind: string, id: string, changes: Changes): void;
  /** Runs after the commit, in this process only: for waking what waits in memory. */
  afterCommit(action: () => void): void;
}

const logger = new Logger('UnitOfWork');
/** The transaction has failed already; and so a statement was not prepared, which is done with its first use. */
const FOLLOWS_A_FAILURE = new Set(['25P02', '26000']);

/** A change and its events, together or not at all. */
@Injectable()
export class UnitOfWork {
  constructor(
    private readonly dataSource: DataSource,
    private readonly handlers: EventHandlers,
    private readonly commits: CommitSignal,
  ) {}

  /** Inside another unit of work it joins that one. */
  async run<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const outer = openScope();
    if (outer) return work(outer.transaction);
    return tryAgain(() => this.attempt(work));
  }

  private async attempt<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const runner = this.dataSource.createQueryRunner();
    const client = (await runner.connect()) as GuardedClient;
    const tx = new OpenTransaction(runner.manager, client, this.handlers);
    const scope: TransactionScope = { client, transaction: tx, is_open: true };
    // Why the connection broke between two statements: what the next one then says is only that it did.
    let broken: Error | undefined;
    const onBroken = (error: Error): void => {
      broken ??= error;
    };
    client.on('error', onBroken);
    try {
      // Not together with what follows: without it, that would be committed by itself.
      await runner.startTransaction();
      const result = await transactionScope.run(scope, async () => {
        const value = await work(tx);
        await tx.settle();
        return value;
      });
      scope.is_open = false;
      await commit(client);
      // One that `pg` itself would not send.
      if (tx.failure) throw tx.failure;
      tx.tellCommitted();
      if (tx.has_events) this.commits.signal();
      return result;
    } catch (error) {
      scope.is_open = false;
      await rollBack(runner);
      // What the database has said tells more than that the connection is gone.
      throw [tx.failure, broken, error].find(isAnswer) ?? broken ?? tx.failure ?? error;
    } finally {
      client.off('error', onBroken);
      await runner.release();
    }
  }
}

class OpenTransaction implements Transaction {
  private readonly events: RecordedEvent[] = [];
  private readonly handled = new Set<DomainEvent>();
  private readonly whenHandledActions: (() => Promise<void>)[] = [];
  private readonly last: Parameters<Transaction['send']>[] = [];
  private readonly changes: { changed: Changed; context: RequestContext }[] = [];
  private readonly actions: (() => void)[] = [];
  /** Of a statement that nobody waited for: what was wanted after it failed by it. */
  failure: unknown;

  constructor(
    readonly manager: EntityManager,
    private readonly client: GuardedClient,
    private readonly handlers: EventHandlers,
  ) {}

  get has_events(): boolean {
    return this.events.length > 0;
  }

  send(statement: NamedStatement, values: unknown[]): void {
    this.client.sendWithNext({ ...statement, values }).catch((error: unknown) => {
      // By another one, which is told by whom it belongs to.
      if (!FOLLOWS_A_FAILURE.has(sqlStateOf(error))) this.failure ??= error;
    });
  }

  sendLast(statement: NamedStatement, values: unknown[]): void {
    this.last.push([statement, values]);
  }

  record(event: DomainEvent): void {
    this.events.push(recorded(event));
  }

  async announce(event: DomainEvent): Promise<void> {
    this.record(event);
    await this.handle(event);
  }

  whenHandled(action: () => Promise<void>): void {
    this.whenHandledActions.push(action);
  }

  changed(kind: string, id: string, changes: Changes): void {
    this.changes.push({ changed: { kind, id, changes }, context: currentContext() });
  }

  afterCommit(action: () => void): void {
    this.actions.push(action);
  }

  /** Handlers may record more events, which are handled in turn; then all go to the log in one statement. */
  async settle(): Promise<void> {
    for (let index = 0; index < this.events.length || this.whenHandledActions.length > 0;) {
      for (; index < this.events.length; index++) {
        const { event, context } = this.events[index]!;
        await continueIn(context, () => this.handle(event));
      }
      await this.whenHandledActions.shift()?.();
    }
    if (this.events.length > 0) this.send(LOG_EVENTS, [eventRows(this.events)]);
    for (const each of this.last) this.send(...each);
  }

  private async handle(event: DomainEvent): Promise<void> {
    if (this.handled.has(event)) return;
    this.handled.add(event);
    await this.handlers.runWithin(event, this);
  }

  /** The change is made: an action that fails must not let it look undone. */
  tellCommitted(): void {
    for (const { changed, context } of this.changes) context.trace?.noteChanges(changed);
    for (const { event, context } of this.events) context.trace?.noteEvent(event);
    for (const action of this.actions) {
      try {
        action();
      } catch (error) {
        logger.error('What was to follow a commit failed', error);
      }
    }
  }
}

/** PostgreSQL answers the COMMIT of a failed transaction with a rollback, and no error. */
async function commit(client: GuardedClient): Promise<void> {
  const { command } = (await client.query('COMMIT')) as QueryResult;
  if (command !== 'COMMIT') {
    throw new Error('A statement of this unit of work failed and its error was swallowed: nothing of it was committed');
  }
}

async function rollBack(runner: QueryRunner): Promise<void> {
  // When the connection is gone, the server has rolled back by itself; the first error is the one to tell.
  if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => undefined);
}
