import { currentContext } from '../context/request-context.js';
import { Role } from './principal.js';

/** A caller of role agent: acts for this agent only, or for none yet. Undefined: the caller is no agent, or anybody. */
export function actingAgent(): string | null | undefined {
  const { principal } = currentContext();
  return principal?.role === Role.Agent ? principal.agent_id : undefined;
}

/** Whether the caller is of role agent: then it must be looked at whose is what it names. */
export const isAgent = (): boolean => actingAgent() !== undefined;

/** Whether the caller may act for the agent: itself, when it is one. */
export function mayActFor(agent_id: string): boolean {
  const own = actingAgent();
  return own === undefined || own === agent_id;
}
