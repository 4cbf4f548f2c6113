import type { DomainEvent } from '../platform/events/domain-event.js';

/** A finished run was older than runs are kept: it is gone, with its steps and tasks. */
export class RunRemoved implements DomainEvent {
  static readonly type = 'run_removed';
  readonly type = RunRemoved.type;

  constructor(
    readonly run_id: string,
    readonly workflow_id: string,
    readonly project_id: string | null,
    readonly run_number: number,
    readonly status: string,
    readonly retention_days: number,
  ) {}
}
