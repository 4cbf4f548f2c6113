import { ChoiceField, IdField, QueryFlag, QueryList, TextField } from '../../platform/http/fields.js';
import { PageQuery } from '../../platform/http/page.js';
import { RunStatus } from '../run-state.js';
import { WorkflowStatus } from '../workflow-state.js';

export enum WorkflowSort {
  Name = 'name',
  Status = 'status',
  CreatedAt = 'created_at',
  UpdatedAt = 'updated_at',
}

export class ListWorkflowsQuery extends PageQuery {
  @ChoiceField(WorkflowStatus, 'WorkflowStatus', { is: 'optional' })
  status?: WorkflowStatus;

  @TextField({ is: 'optional', max: 100 })
  workflow_type?: string;

  @IdField({ is: 'optional' })
  project_id?: string;

  @QueryFlag()
  is_template?: boolean;

  @QueryList({ description: 'Comma list; workflows with any of them' })
  tags?: string[];

  @TextField({ is: 'optional', min: 1, max: 255, description: 'Part of the name' })
  search?: string;

  @ChoiceField(WorkflowSort, 'WorkflowSort', { is: 'optional', default: WorkflowSort.CreatedAt })
  sort_by?: WorkflowSort;
}

export class ListRunsQuery extends PageQuery {
  @ChoiceField(RunStatus, 'RunStatus', { is: 'optional' })
  status?: RunStatus;
}

export class GraphQuery {
  @IdField({ is: 'optional', description: 'The newest run by default' })
  run_id?: string;
}
