import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Workflow } from './workflow.entity.js';

/** An agent that may lease this workflow's tasks; if a workflow has none, any may. */
@Entity('workflow_agents')
export class WorkflowAgent {
  @PrimaryColumn({ type: 'uuid' })
  workflow_id: string;

  @PrimaryColumn({ type: 'uuid' })
  agent_id: string;

  @ManyToOne(() => Workflow, { nullable: false, onDelete: 'CASCADE' })
  @JoinColumn({ name: 'workflow_id' })
  workflow: Relation<Workflow>;

  @Column({ type: 'text' })
  agent_name: string;
}
