import {
  ChoiceField,
  IdField,
  NameField,
  ObjectField,
  PatternField,
  TextField,
  TextsField,
  WholeField,
} from '../../platform/http/fields.js';
import { AgentRunner, AgentStatus } from '../agent-status.js';

const KEY = /^(?![0-9a-fA-F]{8}-)[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$/;

export class CreateAgentDto {
  @NameField({ max: 255, example: 'Analyst 1' })
  name: string;

  @PatternField(KEY, 'key must be 1 to 100 letters, digits or _.:- and no UUID', {
    is: 'nullable',
    description: 'A unique name for machines, accepted wherever the id is',
    example: 'agent_8',
  })
  key?: string | null;

  @TextField({ is: 'optional', min: 1, max: 100, description: 'type or agent_type is required', example: 'analyst' })
  type?: string;

  @TextField({ is: 'optional', min: 1, max: 100, description: 'The same as type' })
  agent_type?: string;

  @ChoiceField(AgentStatus, 'AgentStatus', { is: 'optional', default: AgentStatus.Idle })
  status?: AgentStatus;

  @TextField({ is: 'nullable' })
  description?: string | null;

  @ChoiceField(AgentRunner, 'AgentRunner', { is: 'optional', default: AgentRunner.Pull })
  runner?: AgentRunner;

  @ObjectField({ is: 'optional', description: 'Free; model, tools and capabilities in it are the fields below' })
  configuration?: Record<string, unknown>;

  @TextField({ is: 'nullable', max: 255, example: 'claude-3-sonnet' })
  model?: string | null;

  @TextsField({ is: 'optional' })
  tools?: string[];

  @TextsField({ is: 'optional', description: 'A task may require some of them' })
  capabilities?: string[];

  @WholeField({ is: 'optional', min: 1, max: 1000, default: 1, description: 'Tasks that it may hold at once' })
  max_concurrent_tasks?: number;

  @IdField({ is: 'nullable', description: 'null: works for every project' })
  project_id?: string | null;

  @TextsField({ is: 'optional' })
  tags?: string[];

  @ObjectField({ is: 'optional' })
  metadata?: Record<string, unknown>;
}
