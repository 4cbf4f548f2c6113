import { ChoiceField, IdField, QueryFlag, QueryList, TextField } from '../../platform/http/fields.js';
import { PageQuery } from '../../platform/http/page.js';
import { AgentStatus } from '../agent-status.js';

export enum AgentSort {
  Name = 'name',
  Status = 'status',
  CreatedAt = 'created_at',
  UpdatedAt = 'updated_at',
}

export class ListAgentsQuery extends PageQuery {
  @ChoiceField(AgentStatus, 'AgentStatus', { is: 'optional' })
  status?: AgentStatus;

  @TextField({ is: 'optional', max: 100 })
  type?: string;

  @TextField({ is: 'optional', max: 100, description: 'The same as type' })
  agent_type?: string;

  @QueryFlag({ description: 'true: not offline' })
  is_active?: boolean;

  @QueryList({ description: 'Comma list; agents with any of them' })
  tags?: string[];

  @TextField({ is: 'optional', min: 1, max: 255, description: 'Part of the name' })
  search?: string;

  @IdField({ is: 'optional' })
  project_id?: string;

  @ChoiceField(AgentSort, 'AgentSort', { is: 'optional', default: AgentSort.CreatedAt })
  sort_by?: AgentSort;
}
