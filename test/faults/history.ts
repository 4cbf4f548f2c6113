import { readFileSync } from 'node:fs';

export type Operation =
  'create_task' | 'create_workflow' | 'execute_workflow' | 'lease' | 'renew' | 'complete' | 'fail' | 'release';

/** A client's own note about one try of a call: before it was sent, and what became of it. */
export interface Call {
  kind: 'call';
  at: string;
  client: string;
  /** The same for the two notes about one try; each try of a repeated call has its own. */
  call: string;
  /** unknown: no answer came, or one that does not say whether it was done. */
  phase: 'invoke' | 'ok' | 'fail' | 'unknown';
  operation: Operation;
  idempotency_key?: string;
  agent_id?: string;
  task_id?: string;
  workflow_id?: string;
  run_id?: string;
  lease_token?: string;
  attempt?: number;
  output_hash?: string;
  /** Of the answer. */
  status?: number;
  code?: string;
  /** What a task that is created waits for. */
  dependencies?: string[];
  /** Of a workflow that is created. */
  steps?: StepNote[];
  /** What a lease answered. */
  leases?: { task_id: string; lease_token: string; attempt: number }[];
}

export interface StepNote {
  key: string;
  depends_on: string[];
  is_list: boolean;
}

/** A row of the event log, in its order. */
export interface HistoryEvent {
  kind: 'event';
  txid: string;
  seq: string;
  id: string;
  at: string;
  type: string;
  agent_id: string | null;
  task_id: string | null;
  workflow_id: string | null;
  run_id: string | null;
  /** The request that caused it: the idempotency key, where there is one. */
  request_id: string | null;
  data: Record<string, unknown>;
}

/** What the database holds in the end. Optional: without rows the log is taken at its word. */
export interface Row {
  kind: 'row';
  table: 'tasks' | 'workflow_runs';
  id: string;
  status: string;
  output_hash: string | null;
}

export interface History {
  calls: Call[];
  events: HistoryEvent[];
  rows: Row[];
}

export interface Problem {
  kind: 'LOST' | 'DUPLICATED' | 'OUT-OF-ORDER' | 'STUCK';
  subject: string;
  text: string;
}

/** Reads files of JSON lines; a client that was killed may have left its last line half written. */
export function readHistory(files: readonly string[]): History {
  const history: History = { calls: [], events: [], rows: [] };
  for (const file of files) {
    const lines = readFileSync(file, 'utf8').split('\n');
    lines.forEach((line, index) => {
      if (line.trim() === '') return;
      try {
        add(history, JSON.parse(line) as Call | HistoryEvent | Row);
      } catch (error) {
        if (index < lines.length - 1) throw new Error(`${file}:${index + 1}: ${String(error)}`, { cause: error });
      }
    });
  }
  return history;
}

function add({ calls, events, rows }: History, line: Call | HistoryEvent | Row): void {
  if (line.kind === 'call') calls.push(line);
  else if (line.kind === 'event') events.push(line);
  else if (line.kind === 'row') rows.push(line);
  else throw new Error('its kind is neither call nor event nor row');
}

export function groupBy<T>(items: readonly T[], keyOf: (item: T) => string | null | undefined): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    if (key === null || key === undefined) continue;
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
