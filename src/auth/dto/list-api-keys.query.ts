import { Role } from '../../platform/access/principal.js';
import { ChoiceField, IdField, QueryFlag, TextField } from '../../platform/http/fields.js';
import { PageQuery } from '../../platform/http/page.js';

export enum ApiKeySort {
  Name = 'name',
  CreatedAt = 'created_at',
}

export class ListApiKeysQuery extends PageQuery {
  @ChoiceField(Role, 'Role', { is: 'optional' })
  role?: Role;

  @IdField({ is: 'optional' })
  project_id?: string;

  @QueryFlag({ description: 'Neither revoked nor expired' })
  is_active?: boolean;

  @TextField({ is: 'optional', min: 1, max: 255, description: 'Part of the name' })
  search?: string;

  @ChoiceField(ApiKeySort, 'ApiKeySort', { is: 'optional', default: ApiKeySort.CreatedAt })
  sort_by?: ApiKeySort;
}
