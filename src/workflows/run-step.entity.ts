import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import type { TaskFailure } from '../tasks/task.entity.js';
import { canStepMove, StepStatus } from './run-state.js';
import { WorkflowRun } from './workflow-run.entity.js';

/** How far one step of a run is. */
@Entity('run_steps')
export class RunStep {
  @PrimaryColumn({ type: 'uuid' })
  run_id: string;

  @PrimaryColumn({ type: 'text' })
  key: string;

  @ManyToOne(() => WorkflowRun, { nullable: false, onDelete: 'CASCADE' })
  @JoinColumn({ name: 'run_id' })
  run: Relation<WorkflowRun>;

  /** Its place in the definition. */
  @Column({ type: 'integer' })
  position: number;

  @Column({ type: 'text' })
  status: StepStatus = StepStatus.Pending;

  @Column({ type: 'integer' })
  tasks_total = 0;

  @Column({ type: 'integer' })
  tasks_completed = 0;

  @Column({ type: 'integer' })
  tasks_failed = 0;

  @Column({ type: 'timestamptz', nullable: true })
  started_at: Date | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  completed_at: Date | null = null;

  @Column({ type: 'json', nullable: true })
  output: unknown = null;

  @Column({ type: 'json', nullable: true })
  error: TaskFailure | null = null;

  moveTo(status: StepStatus, now: Date): void {
    if (!canStepMove(this.status, status)) throw new Error(`A ${this.status} step cannot become ${status}`);
    this.status = status;
    if (status === StepStatus.Running) this.started_at = now;
    else this.completed_at = now;
  }
}
