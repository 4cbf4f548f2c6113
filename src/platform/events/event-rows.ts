import { currentContext, type RequestContext } from '../context/request-context.js';
import type { NamedStatement } from '../database/database.js';
import { newId } from '../database/new-id.js';
import { type DomainEvent, SUBJECTS } from './domain-event.js';

/** An event, and the context of the request that caused it: one transaction may do what several asked for. */
export interface RecordedEvent {
  event: DomainEvent;
  context: RequestContext;
}

/** As it is now: the request may go on for another agent. */
export const recorded = (event: DomainEvent): RecordedEvent => ({ event, context: { ...currentContext() } });

/** What the running request adds to each of its events. */
export function eventOrigin(context = currentContext()): Record<string, unknown> {
  const { source, actor_type, actor_id, request_id, endpoint, ip } = context;
  return { source, actor_type, actor_id, metadata: { request_id, endpoint, ip } };
}

/** An event with its origin, as it is logged. */
export function eventRow(event: DomainEvent, origin = eventOrigin()): Record<string, unknown> {
  const { type, severity = 'info', ...data } = event as DomainEvent & Record<string, unknown>;
  const subjects = Object.fromEntries(SUBJECTS.map((subject) => [subject, data[subject] ?? null]));
  return { id: newId(), type, severity, ...origin, ...subjects, data };
}

/** Events as rows for {@link INSERT_EVENTS}. */
export function eventRows(events: readonly RecordedEvent[]): string {
  return JSON.stringify(events.map(({ event, context }) => eventRow(event, eventOrigin(context))));
}

/** The part of a statement that logs the events of parameter `parameter` (a JSON list of {@link eventRow}). */
export const insertEvents = (parameter: string): string => `
  INSERT INTO events (id, type, source, severity, actor_type, actor_id, project_id, agent_id, task_id, workflow_id,
                      run_id, hitl_request_id, data, metadata)
  SELECT e.id, e.type, e.source, e.severity, e.actor_type, e.actor_id, e.project_id, e.agent_id, e.task_id,
         e.workflow_id, e.run_id, e.hitl_request_id, e.data, e.metadata
  FROM jsonb_to_recordset(${parameter}::jsonb) AS e (
    id uuid, type text, source text, severity text, actor_type text, actor_id text, project_id uuid, agent_id uuid,
    task_id uuid, workflow_id uuid, run_id uuid, hitl_request_id uuid, data jsonb, metadata jsonb)`;

export const INSERT_EVENTS = insertEvents('$1');
/** The same, prepared once per connection. */
export const LOG_EVENTS: NamedStatement = { name: 'insert_events', text: INSERT_EVENTS };
