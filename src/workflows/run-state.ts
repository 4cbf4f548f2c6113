export enum RunStatus {
  Scheduled = 'scheduled',
  Running = 'running',
  Paused = 'paused',
  Completed = 'completed',
  Failed = 'failed',
  Cancelled = 'cancelled',
}

const { Scheduled, Running, Paused, Completed, Failed, Cancelled } = RunStatus;

const NEXT: Record<RunStatus, readonly RunStatus[]> = {
  [Scheduled]: [Running, Cancelled],
  [Running]: [Paused, Completed, Failed, Cancelled],
  // What is in progress when a run pauses may still end it.
  [Paused]: [Running, Completed, Failed, Cancelled],
  [Completed]: [],
  [Failed]: [],
  [Cancelled]: [],
};

export const canRunMove = (from: RunStatus, to: RunStatus): boolean => NEXT[from].includes(to);
export const isLive = (status: RunStatus): boolean => NEXT[status].length > 0;
/** It is running, or was and will be. */
export const hasBegun = ({ status }: { status: RunStatus }): boolean => status === Running || status === Paused;
export const LIVE_STATUSES: readonly RunStatus[] = Object.values(RunStatus).filter(isLive);

export enum StepStatus {
  Pending = 'pending',
  Running = 'running',
  Completed = 'completed',
  Failed = 'failed',
  Skipped = 'skipped',
  Cancelled = 'cancelled',
}

const STEP_NEXT: Record<StepStatus, readonly StepStatus[]> = {
  [StepStatus.Pending]: [
    StepStatus.Running,
    StepStatus.Completed,
    StepStatus.Failed,
    StepStatus.Skipped,
    StepStatus.Cancelled,
  ],
  // Skipped: its tasks were ready, but nobody had begun them.
  [StepStatus.Running]: [StepStatus.Completed, StepStatus.Failed, StepStatus.Skipped, StepStatus.Cancelled],
  [StepStatus.Completed]: [],
  [StepStatus.Failed]: [],
  [StepStatus.Skipped]: [],
  [StepStatus.Cancelled]: [],
};

export const canStepMove = (from: StepStatus, to: StepStatus): boolean => STEP_NEXT[from].includes(to);
export const hasStepEnded = (status: StepStatus): boolean => STEP_NEXT[status].length === 0;

/** What a failed step means for its run. */
export enum OnFailure {
  /** The run fails at once, what is not started is skipped. */
  Fail = 'fail',
  /** The run goes on, also with what depends on the step, but has failed in the end. */
  Continue = 'continue',
  /** As if completed, with output null. */
  Ignore = 'ignore',
}
