import type { FlightdeckEvent } from '@flightdeck/client';

export type StepState = 'waiting' | 'running' | 'completed' | 'failed' | 'skipped';

export interface StepProgress {
  key: string;
  state: StepState;
  total: number;
  completed: number;
  /** Ids of the tasks that an agent holds. */
  held: Set<string>;
  started_at: number;
  ended_at: number;
}

export type RunEnd = 'run_completed' | 'run_failed' | 'run_cancelled';

const STATE_AFTER: Record<string, StepState> = {
  run_step_started: 'running',
  run_step_completed: 'completed',
  run_step_failed: 'failed',
  run_step_skipped: 'skipped',
};
const RUN_ENDS: readonly string[] = ['run_completed', 'run_failed', 'run_cancelled'];

/** What the events of a run add up to. */
export class Progress {
  readonly steps: StepProgress[];
  /** How many tasks each second of the run completed. */
  private readonly perSecond = new Map<number, number>();

  constructor(keys: string[]) {
    this.steps = keys.map((key) => {
      return { key, state: 'waiting', total: 0, completed: 0, held: new Set(), started_at: 0, ended_at: 0 };
    });
  }

  get tasksCompleted(): number {
    return this.steps.reduce((sum, { completed }) => sum + completed, 0);
  }

  get busiestSecond(): number {
    return Math.max(0, ...this.perSecond.values());
  }

  /** The step that the event changed, if it is about one. */
  apply({ type, data, task_id, timestamp }: FlightdeckEvent): StepProgress | null {
    const step = this.steps.find(({ key }) => key === data.key || key === data.step_key);
    if (!step) return null;
    const at = Date.parse(timestamp);
    const state = STATE_AFTER[type];
    if (state) this.moveStep(step, state, at, Number(data.tasks_total ?? step.total));
    else if (task_id !== null) this.moveTask(step, type, task_id, at);
    return step;
  }

  private moveStep(step: StepProgress, state: StepState, at: number, total: number): void {
    step.state = state;
    step.total = total;
    if (state === 'running') step.started_at = at;
    else step.ended_at = at;
  }

  private moveTask(step: StepProgress, type: string, id: string, at: number): void {
    if (type === 'task_started') step.held.add(id);
    else if (type !== 'task_progress_updated' && type !== 'task_status_updated') step.held.delete(id);
    if (type !== 'task_completed') return;
    step.completed++;
    const second = Math.floor(at / 1000);
    this.perSecond.set(second, (this.perSecond.get(second) ?? 0) + 1);
  }
}

/** How the run ended, if this event is its end. */
export const endOf = ({ type }: FlightdeckEvent): RunEnd | null => (RUN_ENDS.includes(type) ? (type as RunEnd) : null);
