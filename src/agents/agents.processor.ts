import { Injectable } from '@nestjs/common';
import { Recurring } from '../platform/queues/recurring.decorator.js';
import { AgentPresence } from './agent-presence.js';

/** The recurring work of agents. */
@Injectable()
export class AgentsProcessor {
  constructor(private readonly presence: AgentPresence) {}

  @Recurring({
    name: 'agent_sweep',
    every_ms: ({ SWEEP_EVERY_SECONDS }) => SWEEP_EVERY_SECONDS * 1000,
    is_due: ({ AGENT_OFFLINE_AFTER_SECONDS: silence }) =>
      `EXISTS (SELECT FROM agents WHERE status <> 'offline' AND last_seen_at < now() - make_interval(secs => ${silence}))`,
  })
  sweep(): Promise<number> {
    return this.presence.sweep();
  }
}
