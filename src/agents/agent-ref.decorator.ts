import { Param, type PipeTransform } from '@nestjs/common';
import { ApiParam } from '@nestjs/swagger';
import { isUUID } from 'class-validator';
import { InvalidInput } from '../platform/errors/common.errors.js';
import { AGENT_REF } from './agent-ref.js';

class AgentRefPipe implements PipeTransform<string, string> {
  transform(value: string): string {
    if (isUUID(value)) return value.toLowerCase();
    if (AGENT_REF.test(value)) return value;
    throw new InvalidInput([{ pointer: 'id', detail: "must be an agent's UUID or key" }]);
  }
}

/** An agent in the path: its id or its key. */
export const AgentRef = (): ParameterDecorator => Param('id', new AgentRefPipe());

export const ApiAgentRef = () =>
  ApiParam({ name: 'id', description: "The agent's id or key", schema: { type: 'string' } });
