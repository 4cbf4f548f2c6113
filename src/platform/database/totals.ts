import { LRUCache } from 'lru-cache';
import type { Database } from './database.js';
import type { Filters } from './filters.js';

/** Up to here a total is counted; beyond, the planner's estimate stands for it. */
const COUNT_LIMIT = 10_000;
/** So long an estimate is given again: to count that many rows for each page would cost more than the page. */
const ESTIMATE_STANDS_MS = 5_000;
const MOST_ESTIMATES = 500;

export interface Total {
  total: number;
  total_is_estimate: boolean;
}

const newEstimates = () => new LRUCache<string, Total>({ max: MOST_ESTIMATES, ttl: ESTIMATE_STANDS_MS });
const estimatesOf = new WeakMap<Database, ReturnType<typeof newEstimates>>();

/** How many rows match: exact up to 10,000, or as many as there are when that is asked for; else an estimate. */
export async function countTotal(database: Database, from: string, filters: Filters, isExact: boolean): Promise<Total> {
  const matches = `SELECT 1 FROM ${from} ${filters.where}`;
  const estimates = estimatesOf.get(database) ?? newEstimates();
  estimatesOf.set(database, estimates);
  const key = JSON.stringify([matches, filters.values]);
  const known = isExact ? undefined : estimates.get(key);
  if (known) return known;

  const limit = isExact ? '' : `LIMIT ${COUNT_LIMIT + 1}`;
  const [row] = await database.query<{ total: string }>(
    filters.prepare(`SELECT count(*) AS total FROM (${matches} ${limit}) AS matches`),
    filters.values,
  );
  const count = Number(row!.total);
  if (isExact || count <= COUNT_LIMIT) return { total: count, total_is_estimate: false };

  const total = await estimate(database, matches, filters.values);
  estimates.set(key, total);
  return total;
}

async function estimate(database: Database, matches: string, values: unknown[]): Promise<Total> {
  type Plan = { 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] };
  const [plan] = await database.query<Plan>(`EXPLAIN (FORMAT JSON) ${matches}`, values);
  const rows = plan!['QUERY PLAN'][0].Plan['Plan Rows'];
  return { total: Math.max(rows, COUNT_LIMIT + 1), total_is_estimate: true };
}
