import type { FlightdeckClient, Run } from '@flightdeck/client';
import type { FileAnalysis } from './analyse-file.js';
import type { Scan } from './scan-folder.js';

const PAGE = 200;

export interface Check {
  files: number;
  attempts: number;
  /** Files that took more than one attempt. */
  repeated: string[];
  problems: string[];
}

export function scanOf(run: Run): Scan {
  const step = run.steps.find(({ key }) => key === 'scan');
  if (!step?.output) throw new Error('The run shows no output of its step scan');
  return step.output as Scan;
}

/** Whether every file of the scan was analysed exactly once, by what the server says. */
export async function checkAnalyses(client: FlightdeckClient, run: Run): Promise<Check> {
  const { files } = scanOf(run);
  const check: Check = { files: files.length, attempts: 0, repeated: [], problems: [] };
  const missing = new Set(files);

  const query = { run_id: run.id, limit: PAGE, sort_order: 'asc' as const };
  for await (const task of client.list('/api/v1/tasks', { params: { query } })) {
    if (task.step_key !== 'analyse') continue;
    const path = String(task.input.path);
    const output = task.output as FileAnalysis | null;
    check.attempts += task.attempt;
    if (task.attempt > 1) check.repeated.push(path);
    if (task.status !== 'completed') check.problems.push(`${path}: its task is ${task.status}`);
    else if (output?.path !== path) check.problems.push(`${path}: the output is of ${output?.path}`);
    else if (!missing.delete(path)) check.problems.push(`${path}: analysed twice, or not in the folder`);
  }
  for (const path of missing) check.problems.push(`${path}: not analysed`);
  return check;
}
