import type { QueryResultRow } from 'pg';
import { InvalidInput } from '../errors/common.errors.js';
import { decodeCursor, encodeCursor, foreignCursor } from '../http/cursor.js';
import type { Page, PageQuery } from '../http/page.js';
import type { Database } from './database.js';
import type { Filters } from './filters.js';
import { countTotal } from './totals.js';

/** What `sort_by` may be: an expression, and its SQL type, by which the cursor's text is read back. */
export interface Sort {
  expression: string;
  type: string;
  is_nullable?: boolean;
}

export interface Listing {
  /** e.g. `tasks t`; the alias is used by `columns`, `sorts` and the filters. */
  from: string;
  alias: string;
  columns: string;
  filters: Filters;
  sorts: Record<string, Sort>;
  sort_by: string;
  query: PageQuery;
}

/**
 * One page of a list. It is ordered by the sort expression and then the id, so that a cursor continues exactly where
 * the page before ended, at the same cost at any depth.
 */
export async function listRows<Row extends QueryResultRow & { id: string }>(
  database: Database,
  { from, alias, columns, filters, sorts, sort_by, query }: Listing,
): Promise<Page<Row>> {
  const { limit = 100, skip = 0, cursor, sort_order = 'desc', count } = query;
  if (cursor !== undefined && query.skip !== undefined) {
    throw new InvalidInput([{ pointer: 'cursor', detail: 'cannot be used together with skip' }]);
  }
  const sort = sorts[sort_by]!;
  const where = [...filters.conditions];
  const values = [...filters.values];
  const scope = { list: from.split(' ', 1)[0]!, sort_by, sort_order };
  const start = cursor === undefined ? null : decodeCursor(cursor, scope);
  if (start) {
    const { value, id } = start;
    if (value === null && !sort.is_nullable) throw foreignCursor();
    values.push(value, id);
    const parameter = `$${values.length - 1}::text::${sort.type}`;
    where.push(keyset(sort, parameter, `${alias}.id`, `$${values.length}::uuid`, sort_order, value === null));
  }
  values.push(limit + 1, skip);
  const rows = await database
    .query<Row & { cursor_value: string | null }>(
      filters.prepare(
        `SELECT ${columns}, (${sort.expression})::text AS cursor_value FROM ${from}
       ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''}
       ORDER BY ${sort.expression} ${direction(sort, sort_order)}, ${alias}.id ${sort_order}
       LIMIT $${values.length - 1} OFFSET $${values.length}`,
      ),
      values,
    )
    .catch((error: { code?: string }) => {
      // Class 22: the cursor holds text that its column's type does not read.
      if (start && error.code?.startsWith('22')) throw foreignCursor();
      throw error;
    });
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  const hasMore = rows.length > limit;
  const passed = start?.passed ?? skip;
  return {
    items,
    ...(count === 'none'
      ? { total: null, total_is_estimate: false }
      : await countTotal(database, from, filters, count === 'exact')),
    skip: passed,
    limit,
    next_cursor: hasMore
      ? encodeCursor({ ...scope, value: last!.cursor_value, id: last!.id, passed: passed + limit })
      : null,
  };
}

/** Nulls are the smallest. Without nulls nothing is said of them, or the index would not serve the order. */
const direction = ({ is_nullable }: Sort, order: 'asc' | 'desc'): string =>
  is_nullable ? (order === 'asc' ? 'ASC NULLS FIRST' : 'DESC NULLS LAST') : order;

/** The rows after the cursor. */
function keyset(
  { expression, is_nullable }: Sort,
  value: string,
  idExpression: string,
  id: string,
  order: 'asc' | 'desc',
  isAtNull: boolean,
): string {
  const beyond = order === 'asc' ? '>' : '<';
  const after = `(${expression}, ${idExpression}) ${beyond} (${value}, ${id})`;
  if (!is_nullable) return after;
  // Mentions the value, so that its parameter has a type.
  const afterNull = `(${expression} IS NULL AND ${value} IS NULL AND ${idExpression} ${beyond} ${id})`;
  if (isAtNull) return order === 'asc' ? `(${expression} IS NOT NULL OR ${afterNull})` : afterNull;
  return order === 'asc' ? after : `(${after} OR ${expression} IS NULL)`;
}
