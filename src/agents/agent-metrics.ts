import type { Agent } from './agent.entity.js';

const round = (value: number): number => Math.round(value * 100) / 100;

/** 0-100; 0 when nothing was finished. */
export function successRate({
  tasks_completed,
  tasks_failed,
}: Pick<Agent, 'tasks_completed' | 'tasks_failed'>): number {
  const finished = tasks_completed + tasks_failed;
  return finished === 0 ? 0 : round((tasks_completed / finished) * 100);
}

type Presence = Pick<Agent, 'uptime_override' | 'first_seen_at' | 'online_since' | 'online_seconds'>;

/** 0-100: time online since the agent was first seen; 0 for one that never was. */
export function uptimePercentage(agent: Presence, now = Date.now()): number {
  const { uptime_override, first_seen_at, online_since, online_seconds } = agent;
  if (uptime_override !== null) return uptime_override;
  if (!first_seen_at) return 0;
  const known = Math.max(1, (now - first_seen_at.getTime()) / 1000);
  const online = online_seconds + (online_since ? (now - online_since.getTime()) / 1000 : 0);
  return round(Math.min(100, Math.max(0, (online / known) * 100)));
}
