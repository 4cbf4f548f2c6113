import { Logger } from '@nestjs/common';
import { runInContext } from '../context/request-context.js';
import { type Database, statement } from '../database/database.js';
import type { EventLog } from './event-log.js';
import { type DurableHandler, matches } from './handlers.js';
import type { LoggedEvent } from './logged-event.js';
import type { Position } from './position.js';
import { AT_ONCE, type Rest, WokenLoop } from './woken-loop.js';

const BATCH = 100;
const HOLD_SECONDS = 30;
const HOLD_ON_MS = 10_000;
const LOOK_ANYWAY: Rest = { ms: 10_000 };
const RETRY_MS = { first: 200, most: 30_000 };

/** A new consumer begins at the end of the log. */
const REGISTER = statement(
  'register_consumer',
  `INSERT INTO event_consumers (name, held_by, txid, seq, held_until) VALUES ($1, $2, $3::xid8, $4, now())
   ON CONFLICT (name) DO NOTHING`,
);

/** Takes the consumer for this node, or holds it for longer, unless another one has it. */
const HOLD = statement(
  'hold_consumer',
  `UPDATE event_consumers SET held_by = $2, held_until = now() + make_interval(secs => ${HOLD_SECONDS})
   WHERE name = $1 AND (held_by = $2 OR held_until < now())
   RETURNING txid::text, seq`,
);

const MOVE_ON = statement(
  'move_consumer_on',
  `UPDATE event_consumers
   SET txid = $3::xid8, seq = $4, held_until = now() + make_interval(secs => ${HOLD_SECONDS})
   WHERE name = $1 AND held_by = $2
   RETURNING name`,
);

/** Feeds one `@Durable` handler while this node holds its consumer. */
export class ConsumerLoop {
  private readonly logger: Logger;
  private readonly loop = new WokenLoop(() => this.step());
  private retryMs = RETRY_MS.first;

  constructor(
    private readonly handler: DurableHandler,
    private readonly node_id: string,
    private readonly database: Database,
    private readonly log: EventLog,
  ) {
    this.logger = new Logger(`DurableConsumer ${handler.name}`);
  }

  async begin(): Promise<void> {
    const { txid, seq } = await this.log.end();
    await this.database.query(REGISTER, [this.handler.name, this.node_id, txid, seq]);
    this.wake();
  }

  wake(): void {
    this.loop.wake();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async step(): Promise<Rest> {
    try {
      const mayBeMore = await this.consumeBatch();
      this.retryMs = RETRY_MS.first;
      return mayBeMore ? AT_ONCE : LOOK_ANYWAY;
    } catch (error) {
      this.logger.error('failed; it will try the same event again', error);
      const rest = { ms: this.retryMs, is_firm: true };
      this.retryMs = Math.min(this.retryMs * 2, RETRY_MS.most);
      return rest;
    }
  }

  private async consumeBatch(): Promise<boolean> {
    const held = await this.hold();
    if (!held) return false;
    const { events } = await this.log.readAfter(held, BATCH);
    let passed: LoggedEvent | null = null;
    for (const event of events) {
      if (this.loop.is_stopped) return false;
      passed = event;
      if (!this.handler.types.some((type) => matches(type, event.type))) continue;
      await this.handle(event);
      passed = null;
      if (!(await this.moveOn(event))) return false;
    }
    if (passed) await this.moveOn(passed);
    return events.length > 0;
  }

  /** A slow handler keeps its hold: nobody else may begin what it has not ended. */
  private async handle(event: LoggedEvent): Promise<void> {
    const holdOn = setInterval(() => void this.hold().catch(() => undefined), HOLD_ON_MS);
    try {
      await runInContext({ endpoint: `consumer ${this.handler.name}` }, () => this.handler.handle(event));
    } finally {
      clearInterval(holdOn);
    }
  }

  private async hold(): Promise<Position | undefined> {
    const rows = await this.database.query<Position & Record<string, string>>(HOLD, [this.handler.name, this.node_id]);
    return rows[0];
  }

  /** False when another node has taken over. */
  private async moveOn({ txid, seq }: Position): Promise<boolean> {
    const rows = await this.database.query(MOVE_ON, [this.handler.name, this.node_id, txid, seq]);
    return rows.length > 0;
  }
}
