import type { PoolClient } from 'pg';
import { orderOf } from './table-order.js';

/** One table of the record: everything in schema `public`, except TypeORM's own list of migrations. */
export interface Table {
  name: string;
  columns: { name: string; type: string }[];
}

const COLUMNS = `
  SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'migrations'
    AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  ORDER BY c.relname, a.attnum`;

const REFERENCES = `
  SELECT conrelid::regclass::text AS "from", confrelid::regclass::text AS "to" FROM pg_constraint
  WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conrelid <> confrelid`;

const IDENTITIES = `
  SELECT c.relname AS table, a.attname AS column, pg_get_serial_sequence(quote_ident(c.relname), a.attname) AS sequence
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'migrations' AND a.attidentity <> ''
  ORDER BY 1, 2`;

/** All tables; one that refers to another comes after it. */
export async function readTables(client: PoolClient): Promise<Table[]> {
  const { rows: columns } = await client.query<{ table: string; column: string; type: string }>(COLUMNS);
  const { rows: references } = await client.query<{ from: string; to: string }>(REFERENCES);
  const tables = new Map<string, Table>();
  for (const { table: name, column, type } of columns) {
    const table = tables.get(name) ?? { name, columns: [] };
    table.columns.push({ name: column, type });
    tables.set(name, table);
  }
  return orderOf([...tables.keys()], references).map((name) => tables.get(name)!);
}

/** The columns that number their rows by themselves, and by which sequence. */
export async function readIdentities(
  client: PoolClient,
): Promise<{ table: string; column: string; sequence: string }[]> {
  return (await client.query<{ table: string; column: string; sequence: string }>(IDENTITIES)).rows;
}

/** The names of the migrations that the database has, oldest first; null when it has no tables of ours. */
export async function readMigrations(client: PoolClient): Promise<string[] | null> {
  const { rows } = await client.query<{ exists: boolean }>(`SELECT to_regclass('migrations') IS NOT NULL AS exists`);
  if (!rows[0]!.exists) return null;
  return (await client.query<{ name: string }>('SELECT name FROM migrations ORDER BY id')).rows.map(({ name }) => name);
}

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
