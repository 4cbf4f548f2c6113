import { AsyncLocalStorage } from 'node:async_hooks';
import { type Principal, Role } from '../access/principal.js';
import type { RequestTrace } from './request-trace.js';

/** Where a change came from, as the event log names it. */
export type EventSource = 'agent' | 'user' | 'system' | 'webhook' | 'scheduler';

/** Who is acting and in which request, for all code below an entry point (HTTP, socket, job). */
export interface RequestContext {
  source: EventSource;
  actor_type: string;
  actor_id: string | null;
  request_id: string | null;
  /** Method and path, or the name of the socket message or job. */
  endpoint: string | null;
  ip: string | null;
  /** Whose credential it is; null without authentication, and for the server's own work. */
  principal: Principal | null;
  /** What it changes, for the audit; null for what only reads, and for the server's own work. */
  trace: RequestTrace | null;
}

const SYSTEM: RequestContext = {
  source: 'system',
  actor_type: 'system',
  actor_id: null,
  request_id: null,
  endpoint: null,
  ip: null,
  principal: null,
  trace: null,
};

const storage = new AsyncLocalStorage<RequestContext>();

export const currentContext = (): RequestContext => storage.getStore() ?? SYSTEM;

export const runInContext = <T>(context: Partial<RequestContext>, work: () => T): T =>
  storage.run({ ...SYSTEM, ...context }, work);

/** Goes on in the context of another request: for work that several of them share. */
export const continueIn = <T>(context: RequestContext, work: () => T): T => storage.run(context, work);

/** From here on the request acts for whom its credential names. */
export function actAs(principal: Principal): void {
  const context = storage.getStore();
  if (!context) return;
  context.source = principal.role === Role.Agent ? 'agent' : 'user';
  context.actor_type = principal.kind;
  context.actor_id = principal.id;
  context.principal = principal;
}

/** From here on the request acts for an agent, which has named itself in the body. */
export function actAsAgent(agent_id: string): void {
  const context = storage.getStore();
  if (!context) return;
  context.source = 'agent';
  context.actor_type = 'agent';
  context.actor_id = agent_id;
}
