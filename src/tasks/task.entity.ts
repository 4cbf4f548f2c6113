import { Column, Entity, Index, JoinColumn, ManyToOne, type Relation } from 'typeorm';
import { TimestampedEntity } from '../platform/database/timestamped.entity.js';
import { Project } from '../projects/project.entity.js';
import type { RetryPolicy } from './retry-policy.js';
import { canMove, TaskPriority, TaskStatus } from './task-state.js';
import { TaskMoveRefused } from './tasks.errors.js';

export interface TaskFailure {
  message: string;
  code?: string;
  retryable?: boolean;
}

/** One unit of work. Dispatch reads and writes it with statements of its own: see `task.sql.ts`. */
@Entity('tasks')
@Index(['created_at', 'id'])
@Index('ix_tasks__project_id__created_at__id', { synchronize: false })
@Index('ix_tasks__workflow_id__created_at__id', { synchronize: false })
@Index('ix_tasks__run_id__step_key__item_index', { synchronize: false })
@Index('ix_tasks__assigned_agent_id__created_at__id', { synchronize: false })
@Index('ix_tasks__leasable', { synchronize: false })
@Index('ix_tasks__ready_at', { synchronize: false })
@Index('ix_tasks__held', { synchronize: false })
@Index('ix_tasks__lease_expires_at', { synchronize: false })
@Index('ix_tasks__concurrency_key', { synchronize: false })
export class Task extends TimestampedEntity {
  @Column({ type: 'uuid', nullable: true })
  project_id: string | null;

  @ManyToOne(() => Project, { nullable: true })
  @JoinColumn({ name: 'project_id' })
  project: Relation<Project> | null;

  @Column({ type: 'uuid', nullable: true })
  workflow_id: string | null;

  @Column({ type: 'uuid', nullable: true })
  run_id: string | null;

  @Column({ type: 'text', nullable: true })
  step_key: string | null;

  /** Which item of its step's `for_each`. */
  @Column({ type: 'integer', nullable: true })
  item_index: number | null;

  @Column({ type: 'text' })
  title: string;

  @Column({ type: 'text', nullable: true })
  description: string | null;

  @Column({ type: 'text', nullable: true })
  instructions: string | null;

  @Column({ type: 'text', nullable: true })
  task_type: string | null;

  @Column({ type: 'text' })
  status: TaskStatus;

  @Column({ type: 'enum', enum: TaskPriority, enumName: 'task_priority' })
  priority: TaskPriority;

  /** Any agent of this type may do it. */
  @Column({ type: 'text', nullable: true })
  agent_type: string | null;

  /** Who has it, had it last, or (when fixed) alone may have it. */
  @Column({ type: 'uuid', nullable: true })
  assigned_agent_id: string | null;

  /** People chose the agent; otherwise it is free again when the agent gives the task back. */
  @Column({ type: 'boolean' })
  assignment_is_fixed: boolean;

  /** Set by the workflow: only these agents; null: any. */
  @Column({ type: 'uuid', array: true, nullable: true })
  allowed_agent_ids: string[] | null;

  @Column({ type: 'text', array: true })
  required_capabilities: string[];

  /** Input, output and metadata belong to the clients: stored and returned as they came. */
  @Column({ type: 'json' })
  input: Record<string, unknown>;

  @Column({ type: 'json', nullable: true })
  output: unknown;

  @Column({ type: 'json', nullable: true })
  error: TaskFailure | null;

  @Column({ type: 'text', array: true })
  tags: string[];

  @Column({ type: 'json' })
  metadata: Record<string, unknown>;

  /** Counted down under the row's lock, so that the last of two dependencies that end at once sees that it is last. */
  @Column({ type: 'integer' })
  unmet_dependencies: number;

  @Column({ type: 'boolean' })
  has_dependents: boolean;

  /** Its run is paused, has not begun, or has enough of its step's tasks ready: not to be leased. */
  @Column({ type: 'boolean' })
  is_held: boolean;

  /** With it, only so many tasks of the same key are in progress at once. Begins with the project. */
  @Column({ type: 'text', nullable: true })
  concurrency_key: string | null;

  @Column({ type: 'integer', nullable: true })
  concurrency_limit: number | null;

  @Column({ type: 'integer' })
  attempt: number;

  @Column({ type: 'integer' })
  max_attempts: number;

  @Column({ type: 'json' })
  retry: RetryPolicy;

  @Column({ type: 'integer', nullable: true })
  timeout_seconds: number | null;

  /** From then on it may be leased; null while it may not. */
  @Column({ type: 'timestamptz', nullable: true })
  ready_at: Date | null;

  @Column({ type: 'timestamptz', nullable: true })
  scheduled_at: Date | null;

  @Column({ type: 'double precision' })
  progress_percentage: number;

  @Column({ type: 'integer' })
  subtasks_completed: number;

  @Column({ type: 'integer' })
  subtasks_total: number;

  @Column({ type: 'double precision', nullable: true })
  estimated_duration_minutes: number | null;

  @Column({ type: 'double precision', nullable: true })
  actual_duration_minutes: number | null;

  @Column({ type: 'double precision', nullable: true })
  quality_score: number | null;

  @Column({ type: 'double precision', nullable: true })
  complexity_score: number | null;

  @Column({ type: 'double precision', nullable: true })
  effort_points: number | null;

  @Column({ type: 'timestamptz', nullable: true })
  due_date: Date | null;

  @Column({ type: 'boolean' })
  is_urgent: boolean;

  @Column({ type: 'boolean' })
  requires_review: boolean;

  /** Proves the right to work on it; new with each lease, null without one. */
  @Column({ type: 'uuid', nullable: true })
  lease_token: string | null;

  @Column({ type: 'timestamptz', nullable: true })
  lease_expires_at: Date | null;

  /** The token of the lease that its holder ended last: a repeated call with it gets the same answer. */
  @Column({ type: 'uuid', nullable: true })
  ended_lease_token: string | null;

  /** When the attempt's `timeout_seconds` are over. */
  @Column({ type: 'timestamptz', nullable: true })
  deadline_at: Date | null;

  @Column({ type: 'boolean' })
  cancel_requested: boolean;

  @Column({ type: 'text', nullable: true })
  created_by: string | null;

  @Column({ type: 'timestamptz', nullable: true })
  started_at: Date | null;

  @Column({ type: 'timestamptz', nullable: true })
  completed_at: Date | null;

  assertCanMove(to: TaskStatus): void {
    if (!canMove(this.status, to)) throw new TaskMoveRefused(this.id, this.status, to);
  }
}
