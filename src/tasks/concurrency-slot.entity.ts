import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** A leased task takes one of the slots of its concurrency key. Written by the lease statement, removed by a trigger. */
@Entity('concurrency_slots')
@Index(['task_id'])
export class ConcurrencySlot {
  @PrimaryColumn({ type: 'text' })
  key: string;

  @PrimaryColumn({ type: 'integer' })
  number: number;

  @Column({ type: 'uuid' })
  task_id: string;
}
