import type { FlightdeckError } from './flightdeck-error.js';
import type { Task } from './resources.js';
import type { Outcome } from './task-outcome.js';

/** What an agent's operator may want to know. The agent goes on after each. */
export type AgentReport =
  /** A handler threw; the attempt is reported to the server as failed. */
  | { kind: 'task_failed'; task: Task; error: unknown }
  /** The server did not take a result, for good: most often the lease was lost (409). The outcome is what it was. */
  | { kind: 'result_refused'; task: Task; error: FlightdeckError; outcome: Outcome }
  /** The agent stopped before the server could be told; the lease runs out. */
  | { kind: 'result_undelivered'; task: Task; error: unknown; outcome: Outcome }
  /** The server is away or fails; the agent tries again. Told once, until it works again. */
  | { kind: 'server_away'; error: FlightdeckError };

/** The reports as lines on standard error, where nobody else takes them. */
export function printReport(report: AgentReport): void {
  const about = 'task' in report ? ` (task ${report.task.id})` : '';
  const reason = report.error instanceof Error ? report.error.message : String(report.error);
  console.error(`Flightdeck agent: ${report.kind.replace('_', ' ')}${about}: ${reason}`);
}
