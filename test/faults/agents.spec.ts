import { createClient } from '@flightdeck/client';
import { expect, it, vi } from 'vitest';
import { eventually } from '../support/eventually.js';
import { readHistory } from './history.js';
import { SIZE } from './load.js';
import { Scenario } from './scenario.js';

vi.setConfig({ testTimeout: 600_000 });

const KILLS = Math.max(3, SIZE.seconds / 4);
const STOPPED_MS = process.env.FAULT_SIZE === 'full' ? 60_000 : 0;

it('agents that are killed: others take over their work', () =>
  Scenario.run({ name: 'agents killed', roles: ['all'], children: 2 }, async (scenario) => {
    for (let kill = 0; kill < KILLS; kill++) {
      await scenario.pause(0.5, SIZE.seconds / KILLS);
      await scenario.killAgent(kill % 2);
    }
  }));

it('an agent that is stopped beyond its lease and goes on: its late result is refused with 409', () => {
  const setting = { name: 'agent stopped', roles: ['all' as const], children: 1, stop_at: 3 };
  return Scenario.run(setting, async (scenario) => {
    const [agent] = scenario.children;
    const id = await agent!.line();
    const stoppedAt = Date.now();
    const client = createClient({ url: scenario.servers[0]!.url, retries: Infinity });
    await eventually(async () => {
      const events = await client.get('/api/v1/tasks/{id}/events', { params: { path: { id } } });
      expect(events.map(({ type }) => type)).toContain('task_lease_expired');
    }, 60_000);
    await new Promise((resolve) => setTimeout(resolve, stoppedAt + STOPPED_MS - Date.now()));
    agent!.send('SIGCONT');

    await eventually(() => {
      const { calls } = readHistory([scenario.fileOf(0)]);
      const late = calls.filter((call) => call.operation === 'complete' && call.task_id === id);
      expect(late.at(-1)).toMatchObject({ phase: 'fail', status: 409, code: 'lease_lost' });
    }, 30_000);
  });
});
