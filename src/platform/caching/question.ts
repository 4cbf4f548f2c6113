import type { FastifyRequest } from 'fastify';
import { Role } from '../access/principal.js';
import { currentContext } from '../context/request-context.js';
import { pathOf } from '../http/version.js';

/**
 * All that an answer depends on beside the state of the data: the path (with its version and parameters), the query in
 * one order, and for whom it is. What two callers share, they share only with the same role and the same project.
 */
export function questionOf(request: FastifyRequest): string {
  const path = pathOf(request.url).replace(/\/$/, '');
  const query = Object.entries(request.query as Record<string, unknown>).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const { principal } = currentContext();
  const scope = principal && [
    principal.role,
    principal.project_id,
    // An agent sees its own.
    principal.role === Role.Agent ? principal.agent_id : null,
  ];
  return JSON.stringify([path, query, scope]);
}

const BETWEEN = '\n';

/** The key of an answer: a question, and in which state of the data it was asked. */
export const keyOf = (question: string, version: string): string => `${question}${BETWEEN}${version}`;

export const questionIn = (key: string): string => key.slice(0, key.lastIndexOf(BETWEEN));
