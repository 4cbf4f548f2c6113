/** How much attention an event deserves. */
export type Severity = 'info' | 'warning' | 'error' | 'critical';

/**
 * Something that has happened. The fields of a class that implements it become the event's `data`; those named like a
 * subject (`task_id`, ...) also become columns, so that the log can be filtered by them.
 */
export interface DomainEvent {
  readonly type: string;
  readonly severity?: Severity;
}

/** The class of an event, by which handlers name what they react to. */
export interface EventClass<Event extends DomainEvent = DomainEvent> {
  readonly type: string;
  // oxlint-disable-next-line typescript/no-explicit-any
  new (...fields: any[]): Event;
}

/** What an event can be about; each is a column of the log. */
export const SUBJECTS = ['project_id', 'agent_id', 'task_id', 'workflow_id', 'run_id', 'hitl_request_id'] as const;
export type Subject = (typeof SUBJECTS)[number];
