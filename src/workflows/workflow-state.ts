export enum WorkflowStatus {
  Pending = 'pending',
  Scheduled = 'scheduled',
  Running = 'running',
  Paused = 'paused',
  Completed = 'completed',
  Failed = 'failed',
  Cancelled = 'cancelled',
  /** May be executed. */
  Active = 'active',
  /** May not. */
  Inactive = 'inactive',
}
