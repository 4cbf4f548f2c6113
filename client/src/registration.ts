import type { components } from './api-types.js';
import type { FlightdeckClient } from './client.js';
import { FlightdeckError } from './flightdeck-error.js';
import type { Agent } from './resources.js';

export type AgentDescription = components['schemas']['CreateAgentDto'] & { key: string };

/** Registers the agent, or brings up to date what the server knows under its key. Safe to repeat. */
export async function register(
  client: FlightdeckClient,
  description: AgentDescription,
  options: { retries: number; signal: AbortSignal },
): Promise<Agent> {
  const { key, ...changes } = description;
  const update = () => client.put('/api/v1/agents/{id}', { params: { path: { id: key } }, body: changes, ...options });
  try {
    return await update();
  } catch (error) {
    if (!isRefusal(error, 404)) throw error;
  }
  try {
    return await client.post('/api/v1/agents', { body: description, ...options });
  } catch (refusal) {
    if (!isRefusal(refusal, 409)) throw refusal;
    // Registered meanwhile: by a process that started together with this one, or by a call whose answer was lost.
    return await update().catch((error: unknown) => {
      // Its name is taken by an agent with another key.
      throw isRefusal(error, 404) ? refusal : error;
    });
  }
}

const isRefusal = (error: unknown, status: number): boolean =>
  error instanceof FlightdeckError && error.status === status;
