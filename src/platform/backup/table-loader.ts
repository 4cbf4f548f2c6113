import type { PoolClient } from 'pg';
import { quoted, type Table } from './tables.js';

/** Rows go in together until they are about this many bytes. */
const BATCH_BYTES = 1_048_576;

/** Inserts rows as they stand in a backup. */
export class TableLoader {
  private readonly statement: string;
  private rows: string[] = [];
  private bytes = 0;

  constructor(
    private readonly client: PoolClient,
    { name, columns }: Table,
    present: readonly string[],
  ) {
    const wanted = columns.filter((column) => present.includes(column.name));
    const list = (toText: (name: string, type: string) => string): string =>
      wanted.map((column) => toText(quoted(column.name), column.type)).join(', ');
    this.statement = `
      INSERT INTO ${quoted(name)} (${list((column) => column)}) OVERRIDING SYSTEM VALUE
      SELECT ${list((column, type) => `row_text.${column}::${type}`)}
      FROM json_to_recordset($1::json) AS row_text (${list((column) => `${column} text`)})`;
  }

  async add(row: string): Promise<void> {
    this.rows.push(row);
    this.bytes += row.length;
    if (this.bytes >= BATCH_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.rows.length === 0) return;
    await this.client.query(this.statement, [`[${this.rows.join(',')}]`]);
    this.rows = [];
    this.bytes = 0;
  }
}
