import { inject, it, vi } from 'vitest';
import { administer } from '../support/global-setup.js';
import { SIZE } from './load.js';
import { Scenario } from './scenario.js';

vi.setConfig({ testTimeout: 600_000 });

const KILLS = Math.max(2, SIZE.seconds / 5);
const CUT_EVERY_MS = 2_000;
const CUTS = process.env.FAULT_SIZE === 'full' ? 15 : 3;

it.skipIf(!inject('template'))('a worker that is killed, and an agent with it: its leases are taken back', () =>
  Scenario.run({ name: 'worker killed', roles: ['api', 'worker'], children: 1 }, async (scenario) => {
    const worker = scenario.servers[1]!;
    for (let kill = 0; kill < KILLS; kill++) {
      await scenario.pause(0.3, SIZE.seconds / KILLS);
      await Promise.all([scenario.kill(worker), scenario.killAgent(0)]);
      await scenario.pause(0.5, 2);
      await worker.start();
    }
  }),
);

it.skipIf(!inject('template'))('all connections to PostgreSQL are terminated, again and again', () =>
  Scenario.run({ name: 'connections terminated', roles: ['api', 'worker'], children: 1 }, async (scenario) => {
    await scenario.pause(0.2, 1);
    for (let cut = 0; cut < CUTS; cut++) {
      await administer(
        scenario.database_url,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      );
      if (cut === 0) await scenario.killAgent(0);
      await new Promise((resolve) => setTimeout(resolve, CUT_EVERY_MS));
    }
  }),
);
