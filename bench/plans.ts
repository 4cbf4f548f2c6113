import type { PoolClient } from 'pg';
import { Environment } from '../src/platform/config/environment.js';
import { DatabasePool } from '../src/platform/database/database-pool.js';

interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  Operation?: string;
  'Actual Rows'?: number;
  'Actual Loops'?: number;
  'Rows Removed by Filter'?: number;
  'Shared Hit Blocks'?: number;
  'Shared Read Blocks'?: number;
  Plans?: PlanNode[];
}

interface Notice {
  'Query Text': string;
  Plan: PlanNode;
  JIT?: { Timing: { Total: number } };
}

/** How PostgreSQL did a statement, the last time that it was asked. */
export interface Plan {
  during: string;
  sql: string;
  ms: number;
  /** The part of it in which PostgreSQL compiled the statement. */
  compiling_ms: number;
  /** Pages of 8 KiB that were looked at. */
  buffers: number;
  /** The ways to the tables. */
  access: string[];
  /** Large tables that were read from one end to the other. */
  scans: string[];
  json: string;
}

const LARGE = new Set(['tasks', 'events']);
/** A scan that ends early, because a LIMIT was reached, looks at fewer rows. */
const MOST_SCANNED_ROWS = 15_000;

const SETTINGS = {
  session_preload_libraries: 'auto_explain',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_buffers': 'on',
  'auto_explain.log_format': 'json',
  'auto_explain.log_level': 'notice',
};

/** Has PostgreSQL tell the plan of every statement that goes through a pool, as it was really carried out. */
export class Plans {
  readonly found = new Map<string, Plan>();
  during = '';

  /** The pool of a server like any other, but for its settings. */
  async openPool(environment: Environment): Promise<DatabasePool> {
    const url = new URL(environment.DATABASE_URL);
    const options = Object.entries(SETTINGS).map(([name, value]) => `-c ${name}=${value}`);
    url.searchParams.set('options', options.join(' '));
    const pool = await DatabasePool.open(Object.assign(new Environment(), environment, { DATABASE_URL: url.href }));
    const heard = new WeakSet<PoolClient>();
    pool.pool.on('acquire', (client) => {
      if (heard.has(client)) return;
      heard.add(client);
      client.on('notice', ({ message }) => this.note(message ?? ''));
    });
    return pool;
  }

  private note(message: string): void {
    const [, ms, json] = /^duration: ([\d.]+) ms {2}plan:\n(.*)$/s.exec(message) ?? [];
    if (!ms || !json) return;
    const { 'Query Text': text, Plan: plan, JIT: compiling } = JSON.parse(json) as Notice;
    const sql = text.replace(/\s+/g, ' ').trim();
    const nodes = nodesOf(plan);
    this.found.set(sql, {
      during: this.found.get(sql)?.during ?? this.during,
      sql,
      ms: Number(ms),
      compiling_ms: compiling?.Timing.Total ?? 0,
      buffers: (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0),
      access: [...new Set(nodes.flatMap(accessOf))],
      scans: nodes.filter(isLargeScan).map((node) => node['Relation Name']!),
      json,
    });
  }
}

const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];

function accessOf(node: PlanNode): string[] {
  const { 'Node Type': type, 'Relation Name': table, 'Index Name': index, Operation: operation } = node;
  if (type === 'ModifyTable' && table) return [`${operation} ${table}`];
  if (!index && !table) return [];
  return [`${type} ${index ?? table}`];
}

function isLargeScan(node: PlanNode): boolean {
  if (node['Node Type'] !== 'Seq Scan' || !LARGE.has(node['Relation Name'] ?? '')) return false;
  const looked = (node['Actual Rows'] ?? 0) + (node['Rows Removed by Filter'] ?? 0);
  return looked * (node['Actual Loops'] ?? 1) > MOST_SCANNED_ROWS;
}
