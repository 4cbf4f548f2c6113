import { Column, Entity, Index, JoinColumn, ManyToOne, type Relation, Unique } from 'typeorm';
import { TimestampedEntity } from '../platform/database/timestamped.entity.js';
import { Project } from '../projects/project.entity.js';
import { AgentRunner, AgentStatus } from './agent-status.js';

/** A worker that does tasks. What it holds and how it did are kept here by dispatch, in the same statement. */
@Entity('agents')
@Unique(['name', 'type'])
@Index(['created_at', 'id'])
@Index(['project_id'])
export class Agent extends TimestampedEntity {
  /** A name for machines, accepted wherever the id is. */
  @Column({ type: 'text', nullable: true, unique: true })
  key: string | null = null;

  @Column({ type: 'text' })
  name: string;

  @Column({ type: 'text' })
  type: string;

  @Column({ type: 'text' })
  status: AgentStatus = AgentStatus.Idle;

  @Column({ type: 'text', nullable: true })
  description: string | null = null;

  @Column({ type: 'text' })
  runner: AgentRunner = AgentRunner.Pull;

  /** Free, but `model`, `tools` and `capabilities` in it are also fields of the API. */
  @Column({ type: 'json' })
  configuration: Record<string, unknown> = {};

  @Column({ type: 'integer' })
  max_concurrent_tasks = 1;

  @Column({ type: 'uuid', nullable: true })
  project_id: string | null = null;

  @ManyToOne(() => Project, { nullable: true })
  @JoinColumn({ name: 'project_id' })
  project: Relation<Project> | null;

  @Column({ type: 'text', array: true })
  tags: string[] = [];

  @Column({ type: 'json' })
  metadata: Record<string, unknown> = {};

  @Column({ type: 'boolean' })
  is_draining = false;

  /** Tasks that it has leased right now. */
  @Column({ type: 'integer' })
  held_tasks = 0;

  /** Those of them that it is asked to stop. */
  @Column({ type: 'uuid', array: true })
  cancel_requested: string[] = [];

  @Column({ type: 'uuid', nullable: true })
  current_task_id: string | null = null;

  @Column({ type: 'text', nullable: true })
  current_task_title: string | null = null;

  @Column({ type: 'integer' })
  tasks_completed = 0;

  /** Tasks that failed for good in its hands. */
  @Column({ type: 'integer' })
  tasks_failed = 0;

  /** Seconds from lease to completion, on average. */
  @Column({ type: 'double precision' })
  avg_response_time = 0;

  /** 0-10. */
  @Column({ type: 'double precision', nullable: true })
  quality_score: number | null = null;

  /** By how much the newest task moved the quality score. */
  @Column({ type: 'double precision', nullable: true })
  improvement: number | null = null;

  /** Of its newest task. */
  @Column({ type: 'double precision' })
  processing_time_ms = 0;

  /** Attempts that failed or whose lease ran out. */
  @Column({ type: 'integer' })
  error_count = 0;

  /** Set from outside, in place of the computed one. */
  @Column({ type: 'double precision', nullable: true })
  uptime_override: number | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  first_seen_at: Date | null = null;

  /** The newest sign of life: a heartbeat, a lease, a wait for work. */
  @Column({ type: 'timestamptz', nullable: true })
  last_seen_at: Date | null = null;

  /** Since when it is online without a break; null while offline. */
  @Column({ type: 'timestamptz', nullable: true })
  online_since: Date | null = null;

  /** Time online before `online_since`. */
  @Column({ type: 'double precision' })
  online_seconds = 0;

  @Column({ type: 'timestamptz', nullable: true })
  last_heartbeat: Date | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  last_activity: Date | null = null;

  /** Takes the status; for an agent that was ever seen, the time online ends or begins with it. */
  become(status: AgentStatus, now = new Date()): void {
    const was_offline = this.status === AgentStatus.Offline;
    this.status = status;
    if (!this.last_seen_at) return;
    this.last_seen_at = now;
    if (status === AgentStatus.Offline) {
      this.online_seconds += this.online_since ? Math.max(0, (now.getTime() - this.online_since.getTime()) / 1000) : 0;
      this.online_since = null;
    } else if (was_offline) {
      this.online_since = now;
    }
  }
}
