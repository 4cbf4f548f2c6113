import type { RetryPolicy } from '../tasks/retry-policy.js';
import type { TaskPriority } from '../tasks/task-state.js';
import type { Graph } from '../platform/graph/graph.js';
import { OnFailure } from './run-state.js';

/** One step of a workflow; the fields mean what they mean in a task unless said otherwise. */
export interface Step {
  key: string;
  name?: string;
  instructions?: string | null;
  task_type?: string | null;
  agent_type?: string | null;
  agent_id?: string | null;
  required_capabilities?: string[];
  priority?: TaskPriority;
  timeout_seconds?: number | null;
  retry?: Partial<RetryPolicy>;
  max_attempts?: number;
  /** Keys of the steps that come before. */
  depends_on?: string[];
  /** Any JSON; strings in it may hold `${{ expression }}`. */
  input?: unknown;
  /** False: the step is skipped. */
  when?: string;
  /** Yields a list: one task per item. */
  for_each?: string;
  /** How many tasks of a `for_each` may be ready or in progress at once. */
  max_parallel?: number;
  on_failure?: OnFailure;
  /** In place of the workflow's. */
  concurrency?: Concurrency;
}

/** At most `limit` tasks with the same key are in progress at once, in whatever runs and workflows of the project. */
export interface Concurrency {
  /** Expression; its value is the key. */
  key: string;
  limit: number;
}

export interface Definition {
  steps: Step[];
  /** Of the tasks of all steps that have none of their own. */
  concurrency?: Concurrency;
}

export const graphOf = ({ steps }: Definition): Graph =>
  new Map(steps.map(({ key, depends_on = [] }) => [key, depends_on]));

export const onFailureOf = ({ on_failure = OnFailure.Fail }: Step): OnFailure => on_failure;

/** The steps that nothing depends on: their outputs are the run's. */
export function lastSteps({ steps }: Definition): string[] {
  const needed = new Set(steps.flatMap(({ depends_on = [] }) => depends_on));
  return steps.map(({ key }) => key).filter((key) => !needed.has(key));
}
