import { ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsObject, ValidateNested } from 'class-validator';
import { ChoiceField, IdField, TimeField } from '../../platform/http/fields.js';
import { Optional } from '../../platform/http/optional.decorator.js';
import { AgentStatus } from '../agent-status.js';
import { AgentMetricsDto } from './agent-metrics.dto.js';

export class HeartbeatDto {
  @ChoiceField(AgentStatus, 'AgentStatus', { is: 'optional' })
  status?: AgentStatus;

  @IdField({ is: 'nullable' })
  current_task_id?: string | null;

  @ApiPropertyOptional({ type: AgentMetricsDto })
  @Optional()
  @IsObject()
  @ValidateNested()
  @Type(() => AgentMetricsDto)
  metrics?: AgentMetricsDto;

  @TimeField({ is: 'optional', description: "The agent's own clock; only noted, never trusted" })
  timestamp?: Date;
}
