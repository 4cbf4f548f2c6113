import { Injectable } from '@nestjs/common';
import { Database, statement } from '../platform/database/database.js';

/** More types of agents than these, the deepest queues first, are reported together as `other`: types are free text. */
const MOST_TYPES = 30;
/** The code names them; the planner does not know how few they are. */
const MOST_CONSUMERS = 50;
/** A lag is counted up to here. */
const MOST_EVENTS = 10_000;

/** Answered from a partial index alone: it costs what is ready, not what the table holds. */
const QUEUE_STATE = statement(
  'queue_state',
  `WITH ready AS (
     SELECT coalesce(agent_type, '*') AS agent_type, count(*) AS depth, min(ready_at) AS oldest
     FROM tasks WHERE status = 'pending' AND ready_at > '-infinity' AND ready_at <= now() GROUP BY agent_type
   ), placed AS (
     SELECT ready.*, row_number() OVER (ORDER BY depth DESC, agent_type) AS place FROM ready
   ), queues AS (
     SELECT CASE WHEN place <= ${MOST_TYPES} THEN agent_type ELSE 'other' END AS agent_type, sum(depth)::int AS depth,
            extract(epoch FROM now() - min(oldest))::float8 AS age_seconds
     FROM placed GROUP BY 1
   ), consumers AS (
     SELECT c.name,
            coalesce(extract(epoch FROM now() - (
              SELECT e.created_at FROM events e WHERE (e.txid, e.seq) > (c.txid, c.seq) ORDER BY e.txid, e.seq LIMIT 1
            )), 0)::float8 AS seconds,
            (SELECT count(*) FROM (
               SELECT FROM events e WHERE (e.txid, e.seq) > (c.txid, c.seq) ORDER BY e.txid, e.seq LIMIT ${MOST_EVENTS}
             ) AS unread)::int AS events
     FROM (SELECT * FROM event_consumers ORDER BY name LIMIT ${MOST_CONSUMERS}) AS c
   )
   SELECT (SELECT coalesce(json_agg(queues), '[]') FROM queues) AS queues,
          (SELECT coalesce(json_agg(consumers), '[]') FROM consumers) AS consumers,
          (SELECT coalesce(sum(held_tasks), 0) FROM agents)::int AS leases_held`,
);

export interface QueueState {
  queues: { agent_type: string; depth: number; age_seconds: number }[];
  consumers: { name: string; seconds: number; events: number }[];
  leases_held: number;
}

const FRESH_MS = 1_000;
/** An answer that took long is kept that many times as long: so scraping takes 5 % of a connection at most. */
const REST_FACTOR = 20;
/** Scrapers give up after some seconds; until then the last answer stands for one that is on its way. */
const PATIENCE_MS = 800;
const TOO_OLD_MS = 60_000;

/** What is to be done in the whole database. */
@Injectable()
export class QueueReader {
  private known: QueueState | null = null;
  private knownAt = -Infinity;
  private freshUntil = -Infinity;
  private looking: Promise<void> | null = null;

  constructor(private readonly database: Database) {}

  /** Null when the database does not answer. Several callers at once share one look. */
  async read(): Promise<QueueState | null> {
    if (performance.now() >= this.freshUntil) {
      this.looking ??= this.look().finally(() => {
        this.looking = null;
      });
      await Promise.race([this.looking, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref())]);
    }
    return performance.now() - this.knownAt < TOO_OLD_MS ? this.known : null;
  }

  private async look(): Promise<void> {
    const begin = performance.now();
    try {
      const [state] = await this.database.query<QueueState & Record<string, unknown>>(QUEUE_STATE);
      this.known = state!;
      this.knownAt = performance.now();
    } catch {
      // Why is told by those whose work it is; what was known is of a time before.
      this.known = null;
    }
    const took = performance.now() - begin;
    this.freshUntil = performance.now() + Math.max(FRESH_MS, took * REST_FACTOR);
  }
}
