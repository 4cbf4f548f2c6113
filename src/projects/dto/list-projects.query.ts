import { ChoiceField, TextField } from '../../platform/http/fields.js';
import { PageQuery } from '../../platform/http/page.js';
import { ProjectStatus } from '../project-status.js';

export enum ProjectSort {
  Name = 'name',
  Status = 'status',
  CreatedAt = 'created_at',
  UpdatedAt = 'updated_at',
}

export class ListProjectsQuery extends PageQuery {
  @ChoiceField(ProjectStatus, 'ProjectStatus', { is: 'optional' })
  status?: ProjectStatus;

  @TextField({ is: 'optional', min: 1, max: 255, description: 'Part of the name' })
  search?: string;

  @ChoiceField(ProjectSort, 'ProjectSort', { is: 'optional', default: ProjectSort.CreatedAt })
  sort_by?: ProjectSort;
}
