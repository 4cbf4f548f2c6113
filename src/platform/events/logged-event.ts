import type { EventSource } from '../context/request-context.js';
import type { Severity } from './domain-event.js';
import type { Position } from './position.js';

/** One row of the event log. */
export interface LoggedEvent extends Position {
  id: string;
  type: string;
  source: EventSource;
  severity: Severity;
  actor_type: string;
  actor_id: string | null;
  project_id: string | null;
  agent_id: string | null;
  task_id: string | null;
  workflow_id: string | null;
  run_id: string | null;
  hitl_request_id: string | null;
  data: Record<string, unknown>;
  metadata: { request_id: string | null; endpoint: string | null; ip: string | null };
  created_at: Date;
}
