import { Column, Entity, Index } from 'typeorm';
import type { Role } from '../platform/access/principal.js';
import { TimestampedEntity } from '../platform/database/timestamped.entity.js';

/** A credential of a program or a person. What is kept of its secret is only the SHA-256. */
@Entity('api_keys')
@Index(['prefix'], { unique: true })
@Index(['created_at', 'id'])
@Index(['agent_id'])
export class ApiKey extends TimestampedEntity {
  /** The part that may be shown, and by which a key is found. */
  @Column({ type: 'text' })
  prefix: string;

  @Column({ type: 'text' })
  secret_hash: string;

  /** Of the secret before the last rotation, which is valid until `previous_valid_until`. */
  @Column({ type: 'text', nullable: true })
  previous_secret_hash: string | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  previous_valid_until: Date | null = null;

  @Column({ type: 'text' })
  name: string;

  @Column({ type: 'text' })
  role: Role;

  @Column({ type: 'uuid', nullable: true })
  project_id: string | null = null;

  /** Of role agent: the one that it is, as given or as registered with it. */
  @Column({ type: 'uuid', nullable: true })
  agent_id: string | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  expires_at: Date | null = null;

  /** Not to the moment: it is written seldom. */
  @Column({ type: 'timestamptz', nullable: true })
  last_used_at: Date | null = null;

  @Column({ type: 'timestamptz', nullable: true })
  revoked_at: Date | null = null;
}
