import { Column, Entity, Index, JoinColumn, ManyToOne, type Relation } from 'typeorm';
import { TimestampedEntity } from '../platform/database/timestamped.entity.js';
import { Project } from '../projects/project.entity.js';
import type { Definition } from './definition.js';
import type { Schedule } from './schedule.js';
import { WorkflowStatus } from './workflow-state.js';

export interface QualityMetrics {
  success_rate: number | null;
  quality_score: number | null;
  efficiency_score: number | null;
}

/** A definition of steps, or simply a container of tasks. Progress and counts are those of its newest run. */
@Entity('workflows')
@Index(['created_at', 'id'])
@Index(['project_id'])
@Index('ix_workflows__next_tick_at', { synchronize: false })
export class Workflow extends TimestampedEntity {
  @Column({ type: 'uuid', nullable: true })
  project_id: string | null = null;

  @ManyToOne(() => Project, { nullable: true })
  @JoinColumn({ name: 'project_id' })
  project: Relation<Project> | null;

  @Column({ type: 'text' })
  name: string;

  @Column({ type: 'text', nullable: true })
  description: string | null = null;

  @Column({ type: 'text' })
  status: WorkflowStatus = WorkflowStatus.Pending;

  @Column({ type: 'text', nullable: true })
  workflow_type: string | null = null;

  @Column({ type: 'json' })
  configuration: Record<string, unknown> = {};

  /** Defaults for the input of a run. */
  @Column({ type: 'json' })
  parameters: Record<string, unknown> = {};

  @Column({ type: 'json', nullable: true })
  definition: Definition | null = null;

  @Column({ type: 'text', array: true })
  tags: string[] = [];

  @Column({ type: 'json' })
  metadata: Record<string, unknown> = {};

  @Column({ type: 'boolean' })
  is_paused = false;

  @Column({ type: 'boolean' })
  is_template = false;

  @Column({ type: 'boolean' })
  requires_approval = false;

  @Column({ type: 'double precision' })
  progress_percentage = 0;

  @Column({ type: 'integer' })
  total_tasks = 0;

  @Column({ type: 'integer' })
  completed_tasks = 0;

  @Column({ type: 'integer' })
  failed_tasks = 0;

  @Column({ type: 'double precision', nullable: true })
  estimated_duration_hours: number | null = null;

  @Column({ type: 'double precision', nullable: true })
  actual_duration_hours: number | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  started_at: Date | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  completed_at: Date | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  scheduled_at: Date | null = null;

  @Column({ type: 'json', nullable: true })
  schedule: Schedule | null = null;

  /** When the schedule starts a run next. */
  @Column({ type: 'timestamptz', nullable: true })
  next_tick_at: Date | null = null;

  @Column({ type: 'json' })
  quality_metrics: QualityMetrics = { success_rate: null, quality_score: null, efficiency_score: null };

  @Column({ type: 'uuid', nullable: true })
  latest_run_id: string | null = null;

  @Column({ type: 'integer' })
  run_count = 0;
}

/** A workflow as the API shows it. */
export type WorkflowRow = Workflow & { assigned_agents: { id: string; name: string }[] };
