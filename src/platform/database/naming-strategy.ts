import { DefaultNamingStrategy, type Table } from 'typeorm';

const tableName = (table: Table | string): string => (typeof table === 'string' ? table : table.name).split('.').pop()!;
const name = (prefix: string, table: Table | string, columns: string[]): string =>
  `${prefix}_${tableName(table)}__${columns.join('__')}`;

/** Constraint names that say what they guard: `fk_tasks__project_id`. */
export class ReadableNames extends DefaultNamingStrategy {
  override primaryKeyName = (table: Table | string, columns: string[]): string => name('pk', table, columns);
  override uniqueConstraintName = (table: Table | string, columns: string[]): string => name('uq', table, columns);
  override foreignKeyName = (table: Table | string, columns: string[]): string => name('fk', table, columns);
  override indexName = (table: Table | string, columns: string[]): string => name('ix', table, columns);
}
