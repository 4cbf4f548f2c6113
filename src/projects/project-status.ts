export enum ProjectStatus {
  Active = 'active',
  Completed = 'completed',
  Cancelled = 'cancelled',
}
