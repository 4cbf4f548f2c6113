import { InvalidInput } from '../platform/errors/common.errors.js';
import type { UpdateAgentDto } from './dto/update-agent.dto.js';

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item === 'string');

/** `type` and `agent_type` are one field under two names. */
export function agentType({ type, agent_type }: { type?: string; agent_type?: string }): string | undefined {
  if (type !== undefined && agent_type !== undefined && type !== agent_type) {
    throw new InvalidInput([{ pointer: '/agent_type', detail: 'differs from type, but both name the same field' }]);
  }
  return type ?? agent_type;
}

/** What an event tells of a change: free-form fields, which may be large, by name only. */
export function changesOf({ configuration, metadata, ...fields }: UpdateAgentDto): Record<string, unknown> {
  return { ...fields, ...(configuration && { configuration: true }), ...(metadata && { metadata: true }) };
}

/** The configuration with the fields that the API also has at the top level. */
export function agentConfiguration(dto: UpdateAgentDto, current: Record<string, unknown>): Record<string, unknown> {
  const { configuration = current, model, tools, capabilities } = dto;
  const merged = {
    ...configuration,
    ...(model !== undefined && { model }),
    ...(tools !== undefined && { tools }),
    ...(capabilities !== undefined && { capabilities }),
  };
  const rules: [string, boolean, string][] = [
    ['model', merged.model == null || typeof merged.model === 'string', 'must be a string'],
    ['tools', merged.tools === undefined || isTexts(merged.tools), 'must be a list of strings'],
    ['capabilities', merged.capabilities === undefined || isTexts(merged.capabilities), 'must be a list of strings'],
  ];
  const errors = rules
    .filter(([, isFine]) => !isFine)
    .map(([name, , detail]) => ({ pointer: `/configuration/${name}`, detail }));
  if (errors.length > 0) throw new InvalidInput(errors);
  return merged;
}
