import type { Task } from './resources.js';

/** Does a task. What it returns is the task's output (any JSON, up to 1 MiB); what it throws makes the attempt fail. */
export type Handler = (task: Task, context: HandlerContext) => unknown;

export interface HandlerContext {
  /**
   * Aborted, with a {@link TaskAborted} as reason, when the work is not wanted any more. A handler that throws then gives
   * the task back; one that returns nevertheless gives its output, which counts unless the lease is lost.
   */
  signal: AbortSignal;
  /** Says how far the work is, 0-100. Comes at once and never waits: only the newest value is sent. */
  progress: (percentage: number) => void;
}

/** Why a handler should stop: the task is another's by now, people cancelled it, or the agent stops. */
export type AbortCode = 'lease_lost' | 'cancel_requested' | 'agent_stopping';

/** The reason of an aborted handler's signal. */
export class TaskAborted extends Error {
  override readonly name = 'TaskAborted';

  constructor(
    readonly code: AbortCode,
    task_id: string,
    options?: ErrorOptions,
  ) {
    super(`${WHY[code]} (task ${task_id})`, options);
  }
}

const WHY: Record<AbortCode, string> = {
  lease_lost: 'The lease is lost: the task is not ours any more',
  cancel_requested: 'The task is to be cancelled',
  agent_stopping: 'The agent stops',
};

/** Thrown by a handler: the attempt failed. Any other error says the same, and that another attempt may help. */
export class TaskFailure extends Error {
  override readonly name = 'TaskFailure';
  /** A stable name for programs. */
  readonly code?: string;
  /** Whether another attempt may help. */
  readonly retryable: boolean;

  constructor(message: string, { code, retryable = true, ...options }: TaskFailureOptions = {}) {
    super(message, options);
    this.code = code;
    this.retryable = retryable;
  }
}

interface TaskFailureOptions extends ErrorOptions {
  code?: string;
  retryable?: boolean;
}

/** Thrown by a handler: it gives the task back undone, for any agent, and the attempt does not count. */
export class TaskRelease extends Error {
  override readonly name = 'TaskRelease';
}
