import { ApiProperty } from '@nestjs/swagger';
import { Role } from '../../platform/access/principal.js';
import { ShownFlag, ShownId, ShownText, ShownTime } from '../../platform/http/response-fields.js';
import type { ApiKey } from '../api-key.entity.js';

export class ApiKeyResponse {
  @ShownId()
  id: string;

  @ShownText({ description: 'The part of the key by which its owner knows it: fd_<prefix>_...' })
  prefix: string;

  @ShownText()
  name: string;

  @ApiProperty({ enum: Role, enumName: 'Role' })
  role: Role;

  @ShownId({ nullable: true })
  project_id: string | null;

  @ShownId({ nullable: true, description: 'Role agent: the agent that it is' })
  agent_id: string | null;

  @ShownFlag({ description: 'Neither revoked nor expired' })
  is_active: boolean;

  @ShownTime({ nullable: true })
  expires_at: Date | null;

  @ShownTime({ nullable: true, description: 'Written at most every half minute' })
  last_used_at: Date | null;

  @ShownTime({ nullable: true, description: 'Until when the secret before the last rotation is valid' })
  previous_valid_until: Date | null;

  @ShownTime({ nullable: true })
  revoked_at: Date | null;

  @ShownTime()
  created_at: Date;

  @ShownTime()
  updated_at: Date;

  static from(key: ApiKey): ApiKeyResponse {
    const { id, prefix, name, role, project_id, agent_id, expires_at, last_used_at } = key;
    const { previous_valid_until, revoked_at, created_at, updated_at } = key;
    const is_active = revoked_at === null && (expires_at === null || expires_at > new Date());
    const who = { id, prefix, name, role, project_id, agent_id, is_active };
    return { ...who, expires_at, last_used_at, previous_valid_until, revoked_at, created_at, updated_at };
  }
}

/** The only answer that ever holds a secret. */
export class ApiKeyWithSecretResponse extends ApiKeyResponse {
  @ShownText({ description: 'The key itself. It is shown this once and kept nowhere', example: 'fd_<prefix>_<secret>' })
  key: string;

  static of(entity: ApiKey, key: string): ApiKeyWithSecretResponse {
    return Object.assign(ApiKeyResponse.from(entity), { key });
  }
}
