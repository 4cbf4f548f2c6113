import { ChoiceField, IdField, TextField } from '../../platform/http/fields.js';
import { AgentStatus } from '../agent-status.js';

export class UpdateAgentStatusDto {
  @ChoiceField(AgentStatus, 'AgentStatus')
  status: AgentStatus;

  @IdField({ is: 'nullable', description: 'null clears it' })
  current_task_id?: string | null;

  @TextField({ is: 'nullable', max: 500 })
  current_task_title?: string | null;
}
