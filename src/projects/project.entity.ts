import { Column, Entity, Index } from 'typeorm';
import { TimestampedEntity } from '../platform/database/timestamped.entity.js';
import { ProjectStatus } from './project-status.js';

/** What agents, tasks and workflows may belong to. */
@Entity('projects')
@Index(['created_at', 'id'])
export class Project extends TimestampedEntity {
  @Column({ type: 'text' })
  name: string;

  @Column({ type: 'text', nullable: true })
  description: string | null = null;

  @Column({ type: 'text' })
  status: ProjectStatus = ProjectStatus.Active;

  /** Belongs to the client. */
  @Column({ type: 'json' })
  metadata: Record<string, unknown> = {};
}
