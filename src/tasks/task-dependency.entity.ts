import { Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Task } from './task.entity.js';

/** One task waits for another. */
@Entity('task_dependencies')
@Index(['dependency_id'])
export class TaskDependency {
  @PrimaryColumn({ type: 'uuid' })
  task_id: string;

  @PrimaryColumn({ type: 'uuid' })
  dependency_id: string;

  @ManyToOne(() => Task, { nullable: false, onDelete: 'CASCADE' })
  @JoinColumn({ name: 'task_id' })
  task: Relation<Task>;

  @ManyToOne(() => Task, { nullable: false, onDelete: 'CASCADE' })
  @JoinColumn({ name: 'dependency_id' })
  dependency: Relation<Task>;
}
