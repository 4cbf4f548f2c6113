import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, inject, it, vi } from 'vitest';
import { SIZE } from './load.js';
import { PrivateServices } from './private-services.js';
import { Scenario, type Setting } from './scenario.js';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 120_000 });

const REDIS_DOWN_MS = process.env.FAULT_SIZE === 'full' ? 30_000 : 3_000;
const RESTARTS = Math.max(2, SIZE.seconds / 5);
const FLUSHES = Math.max(3, SIZE.seconds / 3);

// Only where there are such servers at all; these have some of their own, as others use those.
describe.skipIf(!inject('template'))('the services', () => {
  let services: PrivateServices;
  beforeAll(async () => {
    services = await PrivateServices.start();
  });
  afterAll(() => services.dispose());

  const run = (name: string, fault: (scenario: Scenario) => Promise<void>) => {
    const { database_url, redis_url } = services;
    const setting: Setting = { name, roles: ['api', 'worker'], children: 1, services: { database_url, redis_url } };
    return Scenario.run(setting, fault);
  };

  it('a PostgreSQL that is restarted, cleanly or after a crash', () =>
    run('PostgreSQL restarted', async (scenario) => {
      for (let restart = 0; restart < RESTARTS; restart++) {
        await scenario.pause(0.5, SIZE.seconds / RESTARTS);
        await services.down('postgres', restart % 2 === 0 ? 'crash' : 'stop');
        await scenario.pause(0, 1);
        await services.up('postgres');
      }
    }));

  it('a Redis that is flushed, and an agent that dies after it', () =>
    run('Redis flushed', async (scenario) => {
      const redis = new Redis(services.redis_url);
      for (let flush = 0; flush < FLUSHES; flush++) {
        await scenario.pause(0.3, SIZE.seconds / FLUSHES);
        await redis.flushall();
        if (flush === 0) await scenario.killAgent(0);
      }
      redis.disconnect();
    }));

  it('a Redis that is down for a while and has forgotten everything, while an agent dies', () =>
    run('Redis down', async (scenario) => {
      await scenario.pause(0.3, SIZE.seconds / 2);
      await services.down('redis', 'crash');
      await scenario.killAgent(0);
      await new Promise((resolve) => setTimeout(resolve, REDIS_DOWN_MS));
      await services.up('redis');
    }));
});
