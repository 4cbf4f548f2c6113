import { Injectable } from '@nestjs/common';
import { AgentsService } from '../agents/agents.service.js';
import { InvalidInput } from '../platform/errors/common.errors.js';
import type { FieldError } from '../platform/errors/domain-error.js';
import { checkDefinition, orderOf } from './check-definition.js';
import type { Definition } from './definition.js';
import type { ValidateWorkflowDto } from './dto/change-workflow.dto.js';
import type { ValidationResponse } from './dto/workflow.response.js';

/** Definitions as people send them: under one of two names, with agents by id or key. */
@Injectable()
export class Definitions {
  constructor(private readonly agents: AgentsService) {}

  /** The one in a body, checked, with its agents' ids in place of keys; undefined when there is none. */
  async accept(dto: ValidateWorkflowDto): Promise<Definition | null | undefined> {
    const given = definitionIn(dto);
    if (!given) return dto.definition;
    const ids = await this.agentIds(given.definition);
    const errors = check(given.definition, given.pointer, ids);
    if (errors.length > 0) throw new InvalidInput(errors);
    return {
      ...given.definition,
      steps: given.definition.steps.map((step) =>
        step.agent_id ? { ...step, agent_id: ids.get(step.agent_id) } : step,
      ),
    };
  }

  /** Checks without saving: what is given, else what is saved. */
  async validate(dto: ValidateWorkflowDto, saved: Definition | null): Promise<ValidationResponse> {
    const { definition, pointer } = definitionIn(dto) ?? {
      definition: saved ?? { steps: [] },
      pointer: '/definition/steps',
    };
    const errors = check(definition, pointer, await this.agentIds(definition));
    return { valid: errors.length === 0, errors, order: errors.length === 0 ? orderOf(definition) : [] };
  }

  /** The ids of the agents that exist, by what they are called in the definition. */
  private async agentIds({ steps }: Definition): Promise<Map<string, string>> {
    const ids = new Map<string, string>();
    for (const ref of new Set(steps.flatMap(({ agent_id }) => agent_id ?? []))) {
      const agent = await this.agents.find(ref);
      if (agent) ids.set(ref, agent.id);
    }
    return ids;
  }
}

function check(definition: Definition, pointer: string, agentIds: ReadonlyMap<string, string>): FieldError[] {
  const unknownAgents = definition.steps.flatMap(({ agent_id }, index) =>
    agent_id && !agentIds.has(agent_id)
      ? [{ pointer: `${pointer}/${index}/agent_id`, detail: `No agent has the id or key ${agent_id}` }]
      : [],
  );
  return [...checkDefinition(definition, pointer), ...unknownAgents];
}

/** The definition, under either of its places, and where its steps are. */
function definitionIn({ definition, steps }: ValidateWorkflowDto): { definition: Definition; pointer: string } | null {
  if (definition && steps) {
    throw new InvalidInput([{ pointer: '/steps', detail: 'cannot be given together with definition' }]);
  }
  if (steps) return { definition: { steps }, pointer: '/steps' };
  return definition ? { definition, pointer: '/definition/steps' } : null;
}
