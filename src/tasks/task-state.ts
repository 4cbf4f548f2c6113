export enum TaskStatus {
  Pending = 'pending',
  /** Waits for dependencies. */
  Blocked = 'blocked',
  InProgress = 'in_progress',
  WaitingForHitl = 'waiting_for_hitl',
  Completed = 'completed',
  Failed = 'failed',
  Cancelled = 'cancelled',
  Skipped = 'skipped',
}

const { Pending, Blocked, InProgress, WaitingForHitl, Completed, Failed, Cancelled, Skipped } = TaskStatus;

/** The whole life of a task. What has ended may begin anew, except what is completed. */
const NEXT: Record<TaskStatus, readonly TaskStatus[]> = {
  [Pending]: [InProgress, Blocked, Completed, Cancelled, Skipped],
  [Blocked]: [Pending, Cancelled, Skipped],
  [InProgress]: [Completed, Failed, Cancelled, Pending, WaitingForHitl],
  [WaitingForHitl]: [InProgress, Pending, Completed, Failed, Cancelled],
  [Completed]: [],
  [Failed]: [Pending, Blocked],
  [Cancelled]: [Pending, Blocked],
  [Skipped]: [Pending, Blocked],
};

/** The moves that people may ask for. The others are the business of dispatch, dependencies and runs. */
const BY_PEOPLE: Record<TaskStatus, readonly TaskStatus[]> = {
  [Pending]: [InProgress, Completed, Cancelled],
  [Blocked]: [],
  [InProgress]: [Completed, Failed, Cancelled, Pending],
  [WaitingForHitl]: [],
  [Completed]: [],
  [Failed]: [Pending],
  [Cancelled]: [Pending],
  [Skipped]: [],
};

export const ENDED: readonly TaskStatus[] = [Completed, Failed, Cancelled, Skipped];

export const canMove = (from: TaskStatus, to: TaskStatus): boolean => NEXT[from].includes(to);
export const canPeopleMove = (from: TaskStatus, to: TaskStatus): boolean => BY_PEOPLE[from].includes(to);
export const hasEnded = (status: TaskStatus): boolean => ENDED.includes(status);

/** In this order, the least first; the database's enum has the same. */
export enum TaskPriority {
  Low = 'low',
  Medium = 'medium',
  High = 'high',
  Critical = 'critical',
}

/** Names that older clients use. */
export const PRIORITY_ALIASES: Record<string, TaskPriority> = {
  normal: TaskPriority.Medium,
  urgent: TaskPriority.Critical,
};
