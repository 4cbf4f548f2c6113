import type { Changes } from '../platform/context/request-trace.js';
import type { DomainEvent, Severity } from '../platform/events/domain-event.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';

/** How a mutating request ended. What a request has not is not kept: each byte is written as often as people ask. */
export interface HandledRequest {
  method: string;
  /** As it is written in the code; absent: there is none at this path. */
  route?: string;
  /** The path that was asked for, where there is no route. */
  path?: string;
  status: number;
  /** Of the problem, if it was refused. */
  code?: string;
  duration_ms: number;
  /** Of the credential. */
  role?: string;
  key_prefix?: string;
  /** By the clock of the node that answered. */
  handled_at: string;
  /** A retry that got the first answer again, and changed nothing. */
  is_replay?: true;
  /** What it is about: the ids of the path, and those that all of its events share. */
  subjects: Readonly<Record<string, string>>;
  /** Of what the path names. */
  changes?: Changes;
  /** Of whatever else it changed. */
  other_changes?: readonly OtherChange[];
  /** Changes of so many more things were cut out. */
  changes_left_out?: number;
}

/** A change of something that the path of the request does not name. */
export interface OtherChange {
  kind: string;
  id: string;
  changes: Changes;
}

/** The record of a request, as the log has it. */
export type AuditRecord = Omit<LoggedEvent, 'data'> & { data: HandledRequest };

/**
 * The record of a request. What it is about is not in the columns of the log: the history of a task is what happened to
 * it, which the events of the request tell already.
 */
export class RequestHandled implements DomainEvent {
  static readonly type = 'request_handled';
  readonly type = RequestHandled.type;
  readonly severity: Severity;

  constructor(request: HandledRequest) {
    Object.assign(this, request);
    this.severity = request.status >= 500 ? 'error' : request.status >= 400 ? 'warning' : 'info';
  }
}

/** While the database was away, more requests were answered than could be remembered. */
export class AuditRecordsLost implements DomainEvent {
  static readonly type = 'audit_records_lost';
  readonly type = AuditRecordsLost.type;
  readonly severity = 'error';

  constructor(
    readonly count: number,
    readonly first_at: string,
    readonly last_at: string,
  ) {}
}
