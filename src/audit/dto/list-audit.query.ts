import { ChoiceField, IdField, PatternField, QueryWhole, TextField, TimeField } from '../../platform/http/fields.js';
import { PageQuery } from '../../platform/http/page.js';

export enum AuditSort {
  CreatedAt = 'created_at',
}

export class ListAuditQuery extends PageQuery {
  @TextField({ is: 'optional', min: 1, max: 255, description: 'Of the agent, key or token that acted' })
  actor_id?: string;

  @PatternField(/^(POST|PUT|PATCH|DELETE)$/, 'method must be POST, PUT, PATCH or DELETE', { is: 'optional' })
  method?: string;

  @TextField({ is: 'optional', min: 1, max: 255, description: 'As records show it', example: '/api/v1/tasks/:id' })
  route?: string;

  @QueryWhole({ min: 100, max: 599 })
  status?: number;

  @PatternField(/^[2-5]xx$/, 'status_class must be 2xx, 3xx, 4xx or 5xx', { is: 'optional', example: '4xx' })
  status_class?: string;

  @TextField({ is: 'optional', min: 1, max: 128 })
  request_id?: string;

  @TimeField({ is: 'optional', description: 'From this time on' })
  since?: Date;

  @TimeField({ is: 'optional', description: 'Before this time' })
  until?: Date;

  @IdField({ is: 'optional' })
  project_id?: string;

  @IdField({ is: 'optional' })
  agent_id?: string;

  @IdField({ is: 'optional' })
  task_id?: string;

  @IdField({ is: 'optional' })
  workflow_id?: string;

  @IdField({ is: 'optional' })
  run_id?: string;

  @ChoiceField(AuditSort, 'AuditSort', { is: 'optional', default: AuditSort.CreatedAt })
  sort_by?: AuditSort;
}
