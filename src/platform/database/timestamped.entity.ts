import { BeforeInsert, Column, PrimaryColumn } from 'typeorm';
import { newId } from './new-id.js';

/** Id and times, which every resource has. Both are set here, not by the database: they are known before the insert. */
export abstract class TimestampedEntity {
  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ type: 'timestamptz' })
  created_at: Date;

  @Column({ type: 'timestamptz' })
  updated_at: Date;

  @BeforeInsert()
  prepare(): void {
    this.id ??= newId();
    this.created_at ??= new Date();
    this.updated_at ??= this.created_at;
  }

  touch(): void {
    this.updated_at = new Date();
  }
}
