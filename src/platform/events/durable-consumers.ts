import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Environment } from '../config/environment.js';
import { Database, statement } from '../database/database.js';
import { newId } from '../database/new-id.js';
import { ConsumerLoop } from './consumer-loop.js';
import { EventLog } from './event-log.js';
import { EventTail } from './event-tail.js';
import { EventHandlers } from './handlers.js';

const LET_GO = statement('let_consumers_go', 'UPDATE event_consumers SET held_until = now() WHERE held_by = $1');

/** Runs the `@Durable` handlers: each on one node at a time, in the log's order, resumed where the last one stopped. */
@Injectable()
export class DurableConsumers implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly node_id = newId();
  private loops: ConsumerLoop[] = [];

  constructor(
    private readonly environment: Environment,
    private readonly database: Database,
    private readonly log: EventLog,
    private readonly tail: EventTail,
    private readonly handlers: EventHandlers,
  ) {}

  /** Waits until each has its place in the log: what happens after the start is not missed. */
  async onApplicationBootstrap(): Promise<void> {
    if (!this.environment.does_background_work) return;
    this.loops = this.handlers.durable.map(
      (handler) => new ConsumerLoop(handler, this.node_id, this.database, this.log),
    );
    await Promise.all(this.loops.map((loop) => loop.begin()));
    this.tail.onBatch(() => {
      for (const loop of this.loops) loop.wake();
    });
  }

  async onModuleDestroy(): Promise<void> {
    await Promise.all(this.loops.map((loop) => loop.stop()));
    // So that another node need not wait for the hold to end.
    if (this.loops.length > 0) await this.database.query(LET_GO, [this.node_id]).catch(() => undefined);
  }
}
