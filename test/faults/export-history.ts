import { writeFile } from 'node:fs/promises';
import pg from 'pg';
import { DatabasePool } from '../../src/platform/database/database-pool.js';
import { EmbeddedDatabase } from '../../src/platform/database/embedded/embedded-database.js';
import type { HistoryEvent, Row } from './history.js';
import { hashOf } from './recording-fetch.js';

const EVENTS = `
  SELECT 'event' AS kind, txid::text, seq::text, id, created_at AS at, type, agent_id, task_id, workflow_id, run_id,
         metadata ->> 'request_id' AS request_id, data
  FROM events ORDER BY events.txid, events.seq`;

const ROWS = `
  SELECT 'tasks' AS "table", id, status::text, output FROM tasks
  UNION ALL SELECT 'workflow_runs', id, status::text, NULL FROM workflow_runs`;

type Found = Omit<Row, 'kind' | 'output_hash'> & { output: unknown };

/** Writes the event log and what became of all tasks and runs; the servers on an embedded database must have ended. */
export async function exportHistory(database: { url: string } | { folder: string }, file: string): Promise<void> {
  const source =
    'url' in database
      ? new pg.Pool({ connectionString: database.url })
      : DatabasePool.embedded(await EmbeddedDatabase.open(database.folder));
  try {
    const pool = source instanceof DatabasePool ? source.pool : source;
    const { rows: events } = await pool.query<HistoryEvent>(EVENTS);
    const { rows } = await pool.query<Found>(ROWS);
    const kept: Row[] = rows.map(({ table, id, status, output }) => {
      return { kind: 'row', table, id, status, output_hash: table === 'tasks' ? hashOf(output) : null };
    });
    await writeFile(file, [...events, ...kept].map((line) => `${JSON.stringify(line)}\n`).join(''));
  } finally {
    await (source instanceof DatabasePool ? source.close() : source.end());
  }
}
