import { Column, Entity, Index, JoinColumn, ManyToOne, type Relation, Unique } from 'typeorm';
import { TimestampedEntity } from '../platform/database/timestamped.entity.js';
import type { TaskFailure } from '../tasks/task.entity.js';
import type { Definition } from './definition.js';
import { canRunMove, RunStatus } from './run-state.js';
import { Workflow } from './workflow.entity.js';
import { RunMoveRefused } from './workflows.errors.js';

export enum RunTrigger {
  Manual = 'manual',
  Rerun = 'rerun',
  Schedule = 'schedule',
}

/** One execution of a workflow. It keeps the definition that it began with. */
@Entity('workflow_runs')
@Unique(['workflow_id', 'run_number'])
@Index(['created_at', 'id'])
@Index('ix_workflow_runs__live', { synchronize: false })
@Index('ix_workflow_runs__scheduled_at', { synchronize: false })
export class WorkflowRun extends TimestampedEntity {
  @Column({ type: 'uuid' })
  workflow_id: string;

  @ManyToOne(() => Workflow, { nullable: false, onDelete: 'CASCADE' })
  @JoinColumn({ name: 'workflow_id' })
  workflow: Relation<Workflow>;

  @Column({ type: 'integer' })
  run_number: number;

  @Column({ type: 'text' })
  status: RunStatus;

  @Column({ type: 'text' })
  trigger: RunTrigger;

  @Column({ type: 'uuid', nullable: true })
  rerun_of: string | null = null;

  @Column({ type: 'json', nullable: true })
  definition: Definition | null;

  @Column({ type: 'json' })
  input: Record<string, unknown>;

  @Column({ type: 'json', nullable: true })
  output: Record<string, unknown> | null = null;

  @Column({ type: 'json', nullable: true })
  error: TaskFailure | null = null;

  @Column({ type: 'double precision' })
  progress_percentage = 0;

  @Column({ type: 'integer' })
  total_tasks = 0;

  @Column({ type: 'integer' })
  completed_tasks = 0;

  @Column({ type: 'integer' })
  failed_tasks = 0;

  @Column({ type: 'timestamptz', nullable: true })
  scheduled_at: Date | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  started_at: Date | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  completed_at: Date | null = null;

  moveTo(status: RunStatus): void {
    if (!canRunMove(this.status, status)) throw new RunMoveRefused(this.id, this.status, status);
    this.status = status;
  }
}
