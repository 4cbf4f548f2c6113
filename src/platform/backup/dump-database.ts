import { createHash } from 'node:crypto';
import type { PoolClient } from 'pg';
import { APP } from '../config/app-info.js';
import { liftTimeouts } from '../database/lift-timeouts.js';
import {
  type BackupHeader,
  BackupRefused,
  FORMAT,
  FORMAT_VERSION,
  type Line,
  type SequenceState,
} from './backup-format.js';
import { quoted, readIdentities, readMigrations, readTables, type Table } from './tables.js';

/** Rows are fetched in pieces of about this many bytes: that bounds the memory, however large the table is. */
const PIECE_BYTES = 1_048_576;
const PIECE_ROWS = 1_000;
const SIZES_AT_ONCE = 5_000;

/** The same text for a value, whatever the server's settings. */
const PLAIN_TEXT = [
  `TimeZone = 'UTC'`,
  `DateStyle = 'ISO'`,
  `IntervalStyle = 'postgres'`,
  'extra_float_digits = 1',
  `bytea_output = 'hex'`,
];

const RAW = { getTypeParser: () => (text: string) => text };

export interface Dump {
  header: BackupHeader;
  rows: Record<string, number>;
}

/**
 * The backup's text, all from one snapshot: other transactions go on meanwhile, and none of them is there by half.
 * The connection must be in no transaction. `onDump` is told what there was.
 */
export async function* dumpDatabase(client: PoolClient, onDump: (dump: Dump) => void): AsyncGenerator<string> {
  const hash = createHash('sha256');
  const hashed = (text: string): string => {
    hash.update(text);
    return text;
  };
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    await liftTimeouts(client, 'transaction');
    for (const setting of PLAIN_TEXT) await client.query(`SET LOCAL ${setting}`);
    const tables = await readTables(client);
    const header = await readHeader(client, tables);
    yield hashed(line([FORMAT, header]));

    const rows: Record<string, number> = {};
    for (const table of tables) {
      rows[table.name] = 0;
      yield hashed(line(['table', table.name]));
      for await (const { text, count } of dumpTable(client, table)) {
        rows[table.name]! += count;
        yield hashed(text);
      }
    }
    yield hashed(line(['end', { rows, sequences: await readSequences(client) }]));
    yield line(['sha256', hash.digest('hex')]);
    onDump({ header, rows });
  } finally {
    // A broken connection has nothing to roll back; the first error is the one to tell.
    await client.query('ROLLBACK').catch(() => undefined);
  }
}

const line = (content: Line): string => `${JSON.stringify(content)}\n`;

async function readHeader(client: PoolClient, tables: Table[]): Promise<BackupHeader> {
  const migrations = await readMigrations(client);
  if (!migrations || migrations.length === 0)
    throw new BackupRefused('There is nothing of Flightdeck in this database.');
  // A database that was not brought up to date yet has no time of its own.
  const { rows: found } = await client.query(`SELECT to_regproc('event_log_horizon') IS NOT NULL AS "has_clock"`);
  const horizon = found[0]!.has_clock ? 'event_log_horizon()' : 'pg_snapshot_xmin(pg_current_snapshot())';
  const { rows } = await client.query<{ horizon: string; now: Date }>(
    `SELECT ${horizon}::text AS horizon, now() AS now`,
  );
  return {
    version: FORMAT_VERSION,
    created_at: rows[0]!.now.toISOString(),
    flightdeck_version: APP.version,
    migrations,
    log_horizon: rows[0]!.horizon,
    tables: tables.map(({ name, columns }) => ({ name, columns: columns.map((column) => column.name) })),
  };
}

/** First the places and sizes of the rows, then as many of them at once as fit into a piece. */
async function* dumpTable(client: PoolClient, table: Table): AsyncGenerator<{ text: string; count: number }> {
  await client.query(
    `DECLARE sizes NO SCROLL CURSOR FOR
     SELECT whole_row.ctid::text AS place, octet_length(whole_row::text) AS bytes FROM ${quoted(table.name)} AS whole_row`,
  );
  for (;;) {
    const { rows } = await client.query<{ place: string; bytes: number }>(`FETCH ${SIZES_AT_ONCE} FROM sizes`);
    if (rows.length === 0) break;
    for (const places of piecesOf(rows)) {
      const text = await dumpRows(client, table, places);
      yield { text, count: places.length };
    }
  }
  await client.query('CLOSE sizes');
}

function* piecesOf(rows: { place: string; bytes: number }[]): Generator<string[]> {
  let places: string[] = [];
  let bytes = 0;
  for (const row of rows) {
    if (places.length > 0 && (bytes + row.bytes > PIECE_BYTES || places.length === PIECE_ROWS)) {
      yield places;
      places = [];
      bytes = 0;
    }
    places.push(row.place);
    bytes += row.bytes;
  }
  if (places.length > 0) yield places;
}

async function dumpRows(client: PoolClient, { name, columns }: Table, places: string[]): Promise<string> {
  const { rows } = await client.query<(string | null)[]>({
    text: `SELECT ${columns.map((column) => quoted(column.name)).join(', ')} FROM ${quoted(name)} WHERE ctid = ANY ($1::tid[])`,
    values: [places],
    types: RAW,
    rowMode: 'array',
  });
  if (rows.length !== places.length)
    throw new Error(`${name}: ${places.length} rows were seen, but ${rows.length} read`);
  const keys = columns.map((column) => `${JSON.stringify(column.name)}:`);
  return rows.map((row) => rowLine(keys, row)).join('');
}

function rowLine(keys: readonly string[], row: readonly (string | null)[]): string {
  const members = row.flatMap((value, index) => (value === null ? [] : [keys[index]! + JSON.stringify(value)]));
  return `{${members.join(',')}}\n`;
}

async function readSequences(client: PoolClient): Promise<SequenceState[]> {
  const states: SequenceState[] = [];
  for (const { table, column, sequence } of await readIdentities(client)) {
    // The name comes quoted from the catalogue. A sequence knows no snapshot: it may be further on, never behind.
    const { rows } = await client.query<{ last_value: string; is_called: boolean }>(
      `SELECT last_value::text, is_called FROM ${sequence}`,
    );
    states.push({ table, column, ...rows[0]! });
  }
  return states;
}
