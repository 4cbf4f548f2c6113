import { Transform } from 'class-transformer';
import { AGENT_REF } from '../../agents/agent-ref.js';
import { ChoiceField, IdField, PatternField, QueryFlag, QueryList, TextField } from '../../platform/http/fields.js';
import { PageQuery } from '../../platform/http/page.js';
import { PRIORITY_ALIASES, TaskPriority, TaskStatus } from '../task-state.js';

export enum TaskSort {
  CreatedAt = 'created_at',
  Priority = 'priority',
  DueDate = 'due_date',
  UpdatedAt = 'updated_at',
}

export class ListTasksQuery extends PageQuery {
  @ChoiceField(TaskStatus, 'TaskStatus', { is: 'optional' })
  status?: TaskStatus;

  @Transform(({ value }) => (typeof value === 'string' ? (PRIORITY_ALIASES[value] ?? value) : (value as unknown)))
  @ChoiceField(TaskPriority, 'TaskPriority', { is: 'optional' })
  priority?: TaskPriority;

  @PatternField(AGENT_REF, "assigned_agent_id must be an agent's id or key", { is: 'optional' })
  assigned_agent_id?: string;

  @TextField({ is: 'optional', max: 100 })
  agent_type?: string;

  @IdField({ is: 'optional' })
  workflow_id?: string;

  @IdField({ is: 'optional' })
  run_id?: string;

  @IdField({ is: 'optional' })
  project_id?: string;

  @TextField({ is: 'optional', max: 100 })
  task_type?: string;

  @QueryFlag({ description: 'true: waits for dependencies' })
  is_blocked?: boolean;

  @QueryFlag()
  is_urgent?: boolean;

  @QueryList({ description: 'Comma list; tasks with any of them' })
  tags?: string[];

  @TextField({ is: 'optional', min: 1, max: 255, description: 'Part of the title' })
  search?: string;

  @ChoiceField(TaskSort, 'TaskSort', { is: 'optional', default: TaskSort.CreatedAt })
  sort_by?: TaskSort;
}
