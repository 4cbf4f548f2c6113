import { expect } from 'vitest';
import { eventually } from './eventually.js';
import { lease, type Leased } from './makers.js';
import type { TestApp } from './test-app.js';

/** Far longer than anything should take; a wait that lasts half as long was not ended by what it waited for. */
export const WAIT_SECONDS = 20;

/** It begins as offline, and asking for work brings it back. */
export const isBack = (server: TestApp, { id }: { id: string }): Promise<void> =>
  eventually(async () => expect((await server.get(`/api/v1/agents/${id}`)).body.status).not.toBe('offline'));

/** What an agent gets that waits for work, once it is seen to wait, if it was offline. */
export async function waitForWork(
  server: TestApp,
  agent: { id: string; status: string },
  fields: object = {},
): Promise<{ answer: Promise<Leased[]> }> {
  const startedAt = performance.now();
  const answer = lease(server, agent, { wait_seconds: WAIT_SECONDS, ...fields }).then((leased) => {
    const seconds = (performance.now() - startedAt) / 1000;
    if (seconds > WAIT_SECONDS / 2) throw new Error(`Waited ${seconds} s: what it waited for did not wake it`);
    return leased;
  });
  if (agent.status === 'offline') await isBack(server, agent);
  // In an object, or awaiting this would await the answer.
  return { answer };
}
