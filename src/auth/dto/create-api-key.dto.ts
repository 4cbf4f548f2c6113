import { Role } from '../../platform/access/principal.js';
import { ChoiceField, IdField, NameField, TimeField, WholeField } from '../../platform/http/fields.js';

export class CreateApiKeyDto {
  @NameField({ max: 255, description: 'Whose key it is, or what it is for', example: 'Build server' })
  name: string;

  @ChoiceField(Role, 'Role')
  role: Role;

  @IdField({ is: 'nullable', description: 'It sees and touches only this project; null: all of them' })
  project_id?: string | null;

  @IdField({ is: 'nullable', description: 'Role agent: the agent that it is; null: the one that registers with it' })
  agent_id?: string | null;

  @TimeField({ is: 'nullable', description: 'When it ends by itself; null: never' })
  expires_at?: Date | null;
}

export class RotateApiKeyDto {
  @WholeField({
    is: 'optional',
    min: 0,
    max: 604_800,
    default: 3600,
    description: 'How long the secret before is valid beside the new one; 0: not at all',
  })
  overlap_seconds?: number;
}
