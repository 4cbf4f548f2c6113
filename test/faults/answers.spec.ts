import { it, vi } from 'vitest';
import { eventually } from '../support/eventually.js';
import { SIZE } from './load.js';
import { Scenario } from './scenario.js';

vi.setConfig({ testTimeout: 600_000 });

const LOST = 0.1;
const KILLS = Math.max(2, SIZE.seconds / 4);

it('answers that are dropped after the write: the clients ask again, and it is done once', async () => {
  let dropped = 0;
  const isLost = ({ random }: Scenario): boolean => {
    if (random() > LOST) return false;
    dropped++;
    return true;
  };
  await Scenario.run({ name: 'answers dropped', roles: ['all'], isLost }, async () => {
    await eventually(() => {
      if (dropped < 5) throw new Error(`Only ${dropped} answers were dropped`);
    }, 60_000);
  });
});

it('an api node that is killed between commit and answer: what it did is there, once', async () => {
  let answers = 0;
  let killAt = Infinity;
  let kill: () => void = () => undefined;
  const isLost = (): boolean => {
    if (++answers < killAt) return false;
    killAt = Infinity;
    kill();
    return true;
  };
  await Scenario.run({ name: 'api node killed', roles: ['api', 'api', 'worker'], isLost }, async (scenario) => {
    const [server] = scenario.servers;
    for (let done = 0; done < KILLS; done++) {
      const reached = new Promise<void>((resolve) => {
        // At the answer itself: its transaction is committed, and nobody will hear of it.
        kill = () => void scenario.kill(server!).then(resolve);
      });
      killAt = answers + 5 + Math.floor(scenario.random() * 20);
      await reached;
      await server!.start();
    }
  });
});
