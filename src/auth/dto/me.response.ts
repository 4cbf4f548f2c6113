import { ApiProperty } from '@nestjs/swagger';
import { type Principal, Role } from '../../platform/access/principal.js';
import { ShownId, ShownText, ShownTime } from '../../platform/http/response-fields.js';

export enum CallerKind {
  ApiKey = 'api_key',
  Token = 'token',
  Anonymous = 'anonymous',
}

/** Who is calling, as the server sees it. */
export class MeResponse {
  @ApiProperty({
    enum: CallerKind,
    enumName: 'CallerKind',
    description: 'anonymous: with AUTH_MODE=off, who may do all',
  })
  kind: string;

  @ShownText({ nullable: true, description: 'Of the key; of a token, its subject' })
  id: string | null;

  @ShownText({ nullable: true })
  name: string | null;

  @ApiProperty({ enum: Role, enumName: 'Role' })
  role: Role;

  @ShownId({ nullable: true, description: 'The only project that it sees; null: all of them' })
  project_id: string | null;

  @ShownId({ nullable: true, description: 'Role agent: the agent that it is' })
  agent_id: string | null;

  @ShownText({ nullable: true })
  key_prefix: string | null;

  @ShownTime({ nullable: true, description: 'When the credential ends by itself' })
  expires_at: Date | null;

  static from(principal: Principal | null): MeResponse {
    if (principal) {
      const { kind, id, name, role, project_id, agent_id, key_prefix, expires_at } = principal;
      return { kind, id, name, role, project_id, agent_id, key_prefix, expires_at };
    }
    const nobody = { id: null, name: null, project_id: null, agent_id: null, key_prefix: null, expires_at: null };
    return { kind: CallerKind.Anonymous, role: Role.Admin, ...nobody };
  }
}
